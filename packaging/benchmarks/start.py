"""From the start of a process to its first paint: our window against a bare PySide6 one, each in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from pairs import in_turn, ratio

DONE = "import os, time; print(time.time(), time.process_time(), flush=True); os._exit(0)"

BARE = f"""
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow
class Window(QMainWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        {DONE}
app = QApplication([])
window = Window()
window.setCentralWidget(QLabel("Hello"))
window.resize(1280, 800)
window.show()
app.exec()
"""

OURS = f"""
import sys
from playground import __main__ as program
from playground.gui.window import Window
def done(self):
    {DONE}
made = Window.__init__
def init(self, *args, **kwargs):
    made(self, *args, **kwargs)
    self.painted.connect(lambda: done(self))
Window.__init__ = init
sys.exit(program.main([]))
"""
"""As a user starts it: `painted` is sent after the first paint."""


def measure(rounds: int) -> dict[str, object]:
    """Wall and CPU seconds to the first paint, and their ratios (the budget is 1.5)."""
    cpu: dict[str, list[float]] = {"ours": [], "bare": []}

    def run(name: str, code: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"PLAYGROUND_HOME": folder}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second start finds compiled modules
            environment.setdefault("QT_QPA_PLATFORM", "offscreen")
            begun = time.time()
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
            )
        painted, spent = map(float, done.stdout.split()[:2])
        cpu[name].append(spent)
        return painted - begun

    mine, other = in_turn(rounds, lambda: run("ours", OURS), lambda: run("bare", BARE))
    return {
        "ours_s": statistics.median(mine),
        "bare_s": statistics.median(other),
        **ratio(mine, other),
        "cpu_ratio": statistics.median(a / b for a, b in zip(cpu["ours"][1:], cpu["bare"][1:], strict=True)),
    }
