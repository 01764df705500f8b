"""How long the window's thread is busy at a stretch while a run trains and its page is open: curves drawn, samples shown, the table kept.

A timer asks for a tick every 5 ms; between two ticks, the thread's processor time is what the window itself did (a stall on the clock can
also be the machine's: the run takes all cores). Four stretches are told apart: the page opened, its rows looked at, the run, its result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

CODE = """
import json, os, sys, time
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QWidget
from playground.gui import app as program
from playground.paths import resources

application = QApplication([])
window = program.make_window()
window.resize(1280, 800)
window.show()
session = window.session
stretches = {}
state = {"at": None, "cpu": None, "name": "", "next": 0}

def tick():
    now, cpu = time.perf_counter(), time.thread_time()
    if state["name"] and state["at"] is not None:
        kept = stretches.setdefault(state["name"], [0, 0.0, 0.0])
        kept[0] += 1
        kept[1] = max(kept[1], now - state["at"] - 0.005)
        kept[2] = max(kept[2], cpu - state["cpu"])
    state["at"], state["cpu"] = now, cpu

timer = QTimer()
timer.setTimerType(Qt.TimerType.PreciseTimer)
timer.setInterval(5)
timer.timeout.connect(tick)
timer.start()

def find(name):
    return window.findChild(QWidget, name)

def page():
    return window.pages["train"]

def opened():
    window.open("train")
    page().open(data=str(resources() / "examples" / "persona.jsonl"))

def looked():
    find("train.data.look").click()

def started():
    find("train.rows.close").click()
    page().setup.set_wishes({"steps": STEPS, "evaluate_every": STEPS // 4})

STEPS = int(sys.argv[1])
WAYS = (
    ("", lambda: session.model.state == "ready", opened),
    ("opening", lambda: find("train.new.start") is not None and find("train.new.start").isEnabled(), looked),
    ("rows", lambda: len(page().data._rows.tokens.learned()) > 0, started),
    ("plan", lambda: find("train.new.start").isEnabled(), lambda: find("train.new.start").click()),
    ("run", lambda: page().run.row().ended, lambda: find("train.run.close").click()),
    ("result", lambda: time.monotonic() > state["until"], None),
)

def drive():
    name, whole, then = WAYS[state["next"]]
    state["name"] = name
    if name == "plan" and page()._timer.isActive():
        return
    if not whole():
        return
    state["until"] = time.monotonic() + 2
    state["next"] += 1
    if then is not None:
        state["name"] = WAYS[state["next"]][0]
        then()
        return
    points = len(page().run.data.values.get("loss", ()))
    print(json.dumps({"stretches": stretches, "points": points, "state": page().run.row().state}), flush=True)
    session.close()
    os._exit(0)

driver = QTimer()
driver.setInterval(50)
driver.timeout.connect(drive)
QTimer.singleShot(6000, driver.start)
application.exec()
"""


def measure(rounds: int, quick: bool = False) -> dict[str, object]:
    found: dict[str, object] = {}
    for _ in range(1 if quick else max(1, rounds // 3)):
        made = _run(24 if quick else 96)
        for name, (_, wall, cpu) in made["stretches"].items():
            for key, value in ((f"{name}_longest_ms", 1000 * wall), (f"{name}_longest_cpu_ms", 1000 * cpu)):
                found[key] = max(float(found.get(key, 0.0)), value)  # type: ignore[arg-type]
        found["points"] = made["points"]
    return found


def _run(steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PLAYGROUND_HOME": folder}
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(steps)], env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the measured window failed:\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        if found["state"] != "finished":
            raise RuntimeError(f"the run ended as {found['state']}:\n{done.stderr[-2000:]}")
        return found
