"""The Inside page over a large capture: 32 layers of 32 heads, 2,048 tokens, queries and keys from which a head is computed when it is looked at.

Processor milliseconds of the window's thread for a step with its painting: the map at 1200 x 800 beside the grid of all heads. And of 1,000 isolated
bright cells how many are seen when all of the map is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = HEADS = 32
GROUPS, WIDTH, LENGTH = 8, 64, 2048
SIZE = (1200, 800)


def measure(rounds: int, quick: bool = False) -> dict[str, object]:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    length = 640 if quick else LENGTH
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, folder, str(length), str(max(20, 8 * rounds))],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def made(folder: str, length: int) -> Path:
    """A capture with random queries and keys; its thumbnails are random too, since nobody looks at what they are of."""
    from playground.inside.layout import Header, Token, encoded, layout

    tokens = tuple(Token(place % 97, f" word{place % 97}") for place in range(length))
    layers, heads = tuple(range(LAYERS)), tuple(range(HEADS))
    header = Header("qk16", True, layers, heads, LAYERS, HEADS, GROUPS, WIDTH, tokens, model="made", created=1.0)
    start = encoded(header)
    arrays = layout(header, len(start))
    path = Path(folder) / "made.attention"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(arrays.bytes)
    memory = np.memmap(path, np.uint8, "r+")

    def part(name: str) -> Any:
        array = arrays.arrays[name]
        return memory[array.offset : array.offset + array.bytes].view(array.dtype).reshape(array.shape)

    random = np.random.default_rng(0)
    thumbs = random.random((LAYERS, HEADS, header.side, header.side)) ** 4
    part("thumbs")[:] = (thumbs * 255).astype(np.uint8) * np.tri(header.side, dtype=np.uint8)
    part("scores")[:] = random.random(part("scores").shape)
    part("rules")[:], part("sinks")[:] = (1 / 8, 0, 1), np.nan
    part("bounds")[:, :, 0], part("bounds")[:, :, 1] = 0, np.arange(length)
    queries = (2 * random.standard_normal((length, HEADS, WIDTH))).astype(np.float16)
    part("keys")[:] = (2 * random.standard_normal((length, GROUPS, WIDTH))).astype(np.float16)
    for layer in range(LAYERS):
        part("queries")[layer] = np.roll(queries, layer, 0)
    memory.flush()
    return path


def main(folder: str, length: int, count: int) -> None:
    from PySide6.QtCore import QPointF, QSize
    from PySide6.QtWidgets import QApplication

    from playground.gui import theme
    from playground.gui.widgets.head_finder import HeadFinder
    from playground.gui.widgets.inside_grid import HeadGrid
    from playground.gui.widgets.inside_map import MapView
    from playground.gui.widgets.inside_shades import Shades
    from playground.gui.widgets.inside_state import InsideState
    from playground.inside import pooling
    from playground.inside.capture import Capture

    path = made(folder, length)
    application = QApplication([])
    theme.apply(application, "light")
    state = InsideState()
    shades = Shades(state)
    grid, view = HeadGrid(state, shades), MapView(state, shades)
    heat = view.map
    heat.setFixedSize(QSize(*SIZE))
    grid.resize(320, 720)
    for each in (grid, view):
        each.show()
    application.processEvents()
    found: dict[str, float] = {"bytes of the capture": path.stat().st_size}

    def wait() -> float:
        began = time.perf_counter()
        while not view.ready:
            application.processEvents()
            time.sleep(0.001)
        return time.perf_counter() - began

    began, cpu = time.perf_counter(), time.thread_time()
    state.set_captures(Capture(path), "made")
    application.processEvents()
    found["opened: ms to the grid and a thumbnail of the head"] = 1e3 * (time.perf_counter() - began)
    found["opened: CPU ms of the window's thread"] = 1e3 * (time.thread_time() - cpu)
    found["opened: ms until the head is computed, too"] = (
        found["opened: ms to the grid and a thumbnail of the head"] + 1e3 * wait()
    )

    def steps(name: str, job: Any) -> None:
        taken = []
        for step in range(count):
            cpu = time.thread_time()
            job(step)
            application.processEvents()
            taken.append(1e3 * (time.thread_time() - cpu))
        found[f"{name}: CPU ms at p95"] = float(np.percentile(taken, 95))

    steps("pointing", lambda step: heat._point_at(QPointF(200 + step % 60 * 10, 300 + step % 60 * 5)))
    steps("zooming", lambda step: heat.zoom(1.25 if step % 30 < 15 else 0.8, QPointF(600, 500)))
    heat.fit()
    heat.zoom(2)
    steps("panning, cells below a pixel", lambda step: heat.pan(7 if step % 20 < 10 else -7, 5))
    heat.zoom(8)
    steps("panning, cells of some pixels", lambda step: heat.pan(17 if step % 20 < 10 else -17, 13))
    heat.fit()
    steps("another head, not computed yet", lambda step: state.set_look("head", step % LAYERS, step * 7 % HEADS))
    for head in range(10):
        state.set_look("head", 0, head)
        wait()
    steps("another head, computed before", lambda step: state.set_look("head", 0, step % 10))
    kinds = ("linear", "log", "percentile", "sqrt")
    steps("another scale", lambda step: state.set_scale(kind=kinds[step % 4]))
    state.set_scale(shared=False)
    application.processEvents()
    steps("another scale, each head's own", lambda step: state.set_scale(kind=kinds[step % 4]))
    state.set_scale(shared=True)
    view.hide()
    finder = HeadFinder(state)
    finder.resize(QSize(*SIZE))
    finder.show()
    steps("another head, in the table of heads", lambda step: state.set_look("head", step % LAYERS, step * 7 % HEADS))
    view.show()
    found["of 1,000 isolated bright cells seen at fit zoom"] = seen(heat, length, pooling)
    state.close()
    print(json.dumps(found))


def seen(heat: Any, length: int, pooling: Any) -> int:
    """In the picture as it is painted."""
    from PySide6.QtGui import QImage

    codes = np.zeros((length, length), np.uint8)
    where = np.random.default_rng(1).integers(0, length, (1000, 2))
    codes[where[:, 0], where[:, 1]] = 255
    heat.set_names([str(each) for each in range(length)], [str(each) for each in range(length)], False)
    table = np.zeros((256, 3), np.uint8)
    table[255] = 255, 0, 0
    heat.set_table(table)
    heat.set_levels(pooling.pyramid(codes))
    image = heat.image().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), image.bytesPerLine() // 4) & 0xFFFFFF
    frame, count = heat.frame(), 0
    for row, column in where:
        rect = frame.rect(int(row), int(column))
        part = pixels[
            max(0, int(rect.top()) - 1) : int(rect.bottom()) + 2, max(0, int(rect.left()) - 1) : int(rect.right()) + 2
        ]
        count += bool((part == 0xFF0000).any())
    return count


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
