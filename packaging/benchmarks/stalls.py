"""How long the window's thread is away from its event loop while a reply streams, and what memory its process takes.

A timer asks for a tick every 5 ms; what it comes late is the stall. The engine decodes in its own process at the same time, on the same
cores, so the same is measured on a bare window beside the same engine: what it shows is the machine's share.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

CODE = """
import json, os, sys, time
import psutil
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QPlainTextEdit
from playground import events
from playground.gui import app as program
from playground.params import SamplingSettings
from playground.paths import home
from playground.session import Session

bare = sys.argv[1] == "bare"
application = QApplication([])
if bare:
    from PySide6.QtWidgets import QMainWindow
    session = Session(home())
    window = QMainWindow()
    window.resize(1280, 800)
    window.show()
    session.start()
else:
    window = program.make_window()
    window.show()
    session = window.session
ticks = []
state = {"at": None, "cpu": None, "on": False, "done": 0, "tokens": 0}

def tick():
    now, cpu = time.perf_counter(), time.thread_time()
    if state["on"] and state["at"] is not None:
        ticks.append((now - state["at"] - 0.005, cpu - state["cpu"]))
    state["at"], state["cpu"] = now, cpu

timer = QTimer()
timer.setInterval(5)
from PySide6.QtCore import Qt
timer.setTimerType(Qt.TimerType.PreciseTimer)
timer.timeout.connect(tick)
timer.start()
ROUNDS = 3

def listen(event):
    if isinstance(event, events.GenerationTokens):
        state["tokens"] += len(event.tokens)
    if isinstance(event, events.GenerationFinished):
        state["done"] += 1

session.subscribe(listen)
started = {"loading": False, "sent": 0}

def drive():
    try:
        if session.model.state == "none" and not started["loading"]:
            started["loading"] = True
            session.load("starter")
            return
        if session.model.state != "ready":
            return
        if state["done"] == ROUNDS:
            rss = psutil.Process().memory_info().rss
            print(json.dumps({"ticks": len(ticks), "longest_ms": 1000 * max(t[0] for t in ticks),
                "p99_ms": 1000 * sorted(t[0] for t in ticks)[int(len(ticks) * 0.99)],
                "longest_cpu_ms": 1000 * max(t[1] for t in ticks),
                "rss_mib": rss / 2**20, "tokens": state["tokens"]}), flush=True)
            session.close()
            os._exit(0)
        if started["sent"] == state["done"]:
            state["on"] = True
            started["sent"] += 1
            session.set_sampling(SamplingSettings(temperature=1.0, seed=started["sent"], max_tokens=450))
            session.set_pace(200)
            session.send(chat[0], "Tell me a long story about a fox and an owl, please.")
    except Exception as error:
        print(repr(error), file=sys.stderr)

chat = [""]
driver = QTimer()
driver.setInterval(50)
driver.timeout.connect(drive)
QTimer.singleShot(1500, driver.start)
application.exec()
"""


def measure(rounds: int) -> dict[str, object]:
    ours = [_run("ours") for _ in range(max(1, rounds // 3))]
    bare = [_run("bare") for _ in range(max(1, rounds // 3))]
    return {
        "longest_ms": max(each["longest_ms"] for each in ours),
        "p99_ms": max(each["p99_ms"] for each in ours),
        "longest_cpu_ms": max(each["longest_cpu_ms"] for each in ours),
        "bare_longest_ms": max(each["longest_ms"] for each in bare),
        "bare_p99_ms": max(each["p99_ms"] for each in bare),
        "tokens": ours[0]["tokens"],
        "memory_mib": max(each["rss_mib"] for each in ours),
        "bare_memory_mib": max(each["rss_mib"] for each in bare),
    }


def _run(side: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PLAYGROUND_HOME": folder}
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
        done = subprocess.run(
            [sys.executable, "-c", CODE, side], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the measured window failed:\n{done.stderr[-2000:]}")
        found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return found
