"""From the start of a process to its first paint: our window against a bare PySide6 one, each in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from pairs import in_turn, ratio

REPORT = """
import sys, time
from PySide6.QtCore import QObject, QEvent
class FirstPaint(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint:
            print(time.time(), time.process_time(), flush=True)
            import os; os._exit(0)
        return False
"""

BARE = (
    REPORT
    + """
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow
app = QApplication([])
window = QMainWindow()
label = QLabel("Hello")
window.setCentralWidget(label)
window.resize(1280, 800)
watch = FirstPaint()
label.installEventFilter(watch)
window.show()
app.exec()
"""
)

OURS = (
    REPORT
    + """
from PySide6.QtWidgets import QApplication
import playground.gui.app as program
watch = FirstPaint()
made = program.make_window
def make_window(*args, **kwargs):
    window = made(*args, **kwargs)
    window.centralWidget().installEventFilter(watch)
    return window
program.make_window = make_window
sys.exit(program.main([]))
"""
)


def measure(rounds: int) -> dict[str, object]:
    """Wall and CPU seconds to the first paint, and their ratios (the budget is 1.5)."""
    cpu: dict[str, list[float]] = {"ours": [], "bare": []}

    def run(name: str, code: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"PLAYGROUND_HOME": folder}
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
