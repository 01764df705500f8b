"""How long the window's thread is away from its event loop while eight columns of 2,000 tokens are written.

The tokens come from a made-up session in the window's own process, 100 a second and column: 800 a second in all. In lines and as one
long paragraph, in plain text and in colours. A timer asks for a tick every 5 ms; what it comes late is the stall. `cpu` is what the
window's thread computed between two ticks: the rest of a stall is the machine's, which the same on a bare window shows as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

COLUMNS, TOKENS = 8, 2000
CASES = (("lines", "plain"), ("paragraph", "plain"), ("lines", "probability"), ("paragraph", "probability"), ("lines", "bare"))
"""how the text is, and how it is shown; `bare`: an empty window gets the same tokens, which shows the machine's share"""

CODE = """
import json, os, random, sys, time
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QWidget
from fake_session import FakeSession
from playground.gui import app as program
from playground.history.records import Column, new_id
from playground.params import SamplingSettings
from playground.paths import home

rate, kind, colours, columns, count = float(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])


class Forgetful(dict):  # the real session's tokens are in the database
    def __setitem__(self, key, value):
        super().__setitem__(key, Nothing())


class Nothing(list):
    def append(self, item):
        pass


application = QApplication([])
session = FakeSession(home(), rate=rate, prefill_s=0, load_s=0)
session._tokens = Forgetful()
bare = colours == "bare"
if not bare:
    window = program.make_window(session, home())
    window.resize(1600, 1000)
    window.show()
    window.open("compare")
    page = window.pages["compare"]
dice = random.Random(5)
words = [" fox", " owl", " hare", " the", " and", " of", " light", " village", ",", "."]
ends = "\\n" if kind == "lines" else " so"
for number in range(columns):
    text = " It began" + "".join(dice.choice(words) if place % 40 else ends for place in range(1, count * 2))
    session.compare.script(text)
made = [Column(new_id(), SamplingSettings(temperature=n / 8, max_tokens=count)) for n in range(columns)]
if bare:
    from PySide6.QtWidgets import QMainWindow
    from playground import events
    from playground.gui.bridge import Bridge
    window, bridge, seen = QMainWindow(), Bridge(), [0, True]
    window.resize(1600, 1000)
    window.show()

    def take(event):
        seen[0] += len(event.tokens) if isinstance(event, events.GenerationTokens) else 0
        seen[1] = not isinstance(event, events.ComparisonFinished)

    bridge.received.connect(take)
    session.subscribe(bridge.push)
    session.start()
else:
    page.set_columns(made)
    page._show_view(board=True)
    page.ui.colours.setCurrentIndex(page.ui.colours.findData(colours))
    window.findChild(QWidget, "compare.prompt").setPlainText("Tell me a story.")
ticks, state = [], {"at": None, "cpu": None, "on": False, "began": 0.0}

def tick():
    now, cpu = time.perf_counter(), time.thread_time()
    if state["on"] and state["at"] is not None:
        ticks.append((now - state["at"] - 0.005, cpu - state["cpu"]))
    state["at"], state["cpu"] = now, cpu
    if state["on"] and ticks and (not seen[1] if bare else not page.running and page.ui.board.settled):
        late = sorted(each[0] for each in ticks)
        shown = seen[0] if bare else sum(len(view.pane._places) for view in page.ui.board.views)
        print(json.dumps({"longest_ms": 1000 * late[-1], "p99_ms": 1000 * late[int(len(late) * 0.99)],
            "longest_cpu_ms": 1000 * max(each[1] for each in ticks), "over_50": sum(each > 0.05 for each in late),
            "tokens": shown, "seconds": time.perf_counter() - state["began"]}), flush=True)
        os._exit(0)

timer = QTimer()
timer.setInterval(5)
timer.setTimerType(Qt.TimerType.PreciseTimer)
timer.timeout.connect(tick)
timer.start()

def begin():
    program.spare_the_collector()  # as the program itself does when it has started
    state["on"], state["began"] = True, time.perf_counter()
    if bare:
        session.compare.run(session.compare.new("Tell me a story.", "", made))
    else:
        page.run()

QTimer.singleShot(1500, begin)
application.exec()
"""


def measure(rounds: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for kind, colours in CASES:
        runs = [run(kind, colours) for _ in range(max(1, rounds // 3))]
        for name in ("longest_ms", "longest_cpu_ms", "p99_ms"):
            found[f"{kind}_{colours}_{name}"] = max(each[name] for each in runs)
        found[f"{kind}_{colours}_over_50_ms"] = sum(int(each["over_50"]) for each in runs)
        found[f"{kind}_{colours}_tokens_per_s"] = max(each["tokens"] / each["seconds"] for each in runs)
    return found


def run(kind: str, colours: str, rate: float = 100.0, columns: int = COLUMNS, tokens: int = TOKENS) -> dict[str, float]:
    """One run in a process of its own. `rate` is in tokens a second and column; 0: as fast as it goes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(__file__).resolve().parents[2]
        paths = os.pathsep.join([str(root), str(root / "tests" / "gui")])
        environment = os.environ | {"PLAYGROUND_HOME": folder, "PYTHONPATH": paths}
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
        command = [sys.executable, "-c", CODE, str(rate), kind, colours, str(columns), str(tokens)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"the measured window failed:\n{done.stderr[-2000:]}")
        found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return found
