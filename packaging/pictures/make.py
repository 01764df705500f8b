"""Takes the README's pictures from a real run: the real window, the real engine, the starter model. Overwrites the PNGs beside it.

.venv/bin/python packaging/pictures/make.py          (offscreen unless QT_QPA_PLATFORM says otherwise)
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from PySide6.QtWidgets import QApplication, QWidget  # noqa: E402

from playground.gui import app as program  # noqa: E402
from playground.gui import theme  # noqa: E402
from playground.params import SamplingSettings  # noqa: E402
from playground.paths import Home  # noqa: E402

PATIENCE_S = 60.0


def main() -> None:
    for mode in ("light", "dark"):
        with tempfile.TemporaryDirectory() as folder:
            _one(mode, Home(Path(folder)))
    os._exit(0)


def _one(mode: str, home: Home) -> None:
    window = program.make_window(home=home)
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    theme.apply(application, mode)
    window.resize(1280, 800)
    window.show()

    def until(condition: Callable[[], object], patience: float = PATIENCE_S) -> None:
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("the picture did not come about")
            application.processEvents()
            time.sleep(0.005)

    def rest(seconds: float) -> None:
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() > end)

    def find(name: str) -> QWidget:
        found = window.findChild(QWidget, name)
        assert found is not None, name
        return found

    session = window.session
    assert session is not None
    until(lambda: session.model.state == "ready")

    def say(text: str, steer: float | None = None, shoot: str = "") -> None:
        find("chat.input").setPlainText(text)  # type: ignore[attr-defined]
        until(find("chat.send").isEnabled)
        find("chat.send").click()  # type: ignore[attr-defined]
        until(lambda: session.busy)
        if steer is not None:
            shown = len(find("chat.transcript").toPlainText())  # type: ignore[attr-defined]
            until(lambda: len(find("chat.transcript").toPlainText()) > shown + 110)  # type: ignore[attr-defined]
            find("sampling.temperature").setValue(steer)  # type: ignore[attr-defined]
            rest(1.4)
            if shoot:
                window.grab().save(str(HERE / shoot))
        until(lambda: not session.busy)
        rest(0.4)

    session.set_sampling(SamplingSettings(seed=11))
    find("sampling.seed").setValue(11)  # type: ignore[attr-defined]
    say("Repeat: red green blue")
    say("Tell me a story about a fox named Pepper.", steer=0.2, shoot=f"chat-{mode}.png")
    chat: Any = window.pages["chat"]
    chat.set_colours("probability")
    chat.show_lab(True)
    reply = chat.conversation.last_reply().id
    until(lambda: chat.marks_of(reply) and chat.lab.chart.rows)
    unsure = max(chat.marks_of(reply)[4:60], key=lambda mark: mark.surprisal)
    chat.transcript.select_token(reply, unsure)
    chat.transcript.open_alternatives(reply, unsure)
    until(lambda: chat.lab.chart.can_choose and chat.lab.chart.steps)
    rest(0.6)
    window.grab().save(str(HERE / f"lab-{mode}.png"))
    chat.transcript.alternatives.put_away()
    chat.show_lab(False)
    chat.set_colours("off")
    _compare(window, session, find, until, rest, mode)
    _inside(window, session, find, until, rest, mode)
    _train(window, find, until, rest, mode)
    find("rail.log").click()  # type: ignore[attr-defined]
    rest(0.8)
    window.grab().save(str(HERE / f"log-{mode}.png"))
    if "models" in getattr(window, "_entries", {}):
        find("rail.models").click()  # type: ignore[attr-defined]
        rest(2.5)
        window.grab().save(str(HERE / f"models-{mode}.png"))
    window.close()
    session.close()


def _compare(window: Any, session: Any, find: Any, until: Any, rest: Any, mode: str) -> None:
    session.set_pace(60)
    window.open("compare")
    page: Any = window.pages["compare"]
    page.new_comparison()
    rest(0.3)
    find("compare.start.temperature").click()
    rest(0.3)
    find("compare.prompt").setPlainText("Tell me a story about a fox named Pepper.")
    find("compare.run").click()
    until(lambda: any(len(each.tokens) > 25 for each in page.comparing.replies.values()))
    find("compare.column.3.temperature").setValue(0.3)
    until(lambda: not page.running)
    until(lambda: page.ui.board.settled)
    rest(0.3)
    window.grab().save(str(HERE / f"compare-{mode}.png"))


WORDS = ["ball", "moon", "cake", "tree", "boat", "star", "milk", "door", "king", "frog", "ring", "coat", "lamp"]


def _inside(window: Any, session: Any, find: Any, until: Any, rest: Any, mode: str) -> None:
    """An induction head: words in no order, said twice, and in the second round each looks at what followed it in the first."""
    from playground.session.inside import CaptureRequest

    words = random.Random(26).sample(WORDS, len(WORDS))
    entry = session.inside.capture(CaptureRequest("".join(f" {word}" for word in words + words))).result(PATIENCE_S)
    window.open("inside", capture_id=entry.id)
    page: Any = window.pages["inside"]
    until(lambda: page.state.a is not None and page.state.id_a == entry.id)
    page.show_tab("heads")
    table = find("inside.finder")
    best = table.rows.rows()[0]  # it opens sorted by induction
    page.state.set_look("head", best.layer, best.head)
    page.show_tab("map")
    until(lambda: page.map.ready)
    heat, row = page.map.map, entry.header.length - 4
    seen = int(page.state.a.row(best.layer, best.head, row).argmax())
    rest(0.5)
    heat._point_at(heat.frame().rect(row, seen).center())
    rest(0.5)
    print(f"head {best.name}: {best.scores}")
    window.grab().save(str(HERE / f"inside-{mode}.png"))


def _train(window: Any, find: Any, until: Any, rest: Any, mode: str) -> None:
    window.open("train", data=str(HERE.parent.parent / "resources" / "examples" / "persona.jsonl"))
    page: Any = window.pages["train"]
    until(lambda: find("train.new.start").isEnabled(), 120)
    find("train.new.start").click()
    until(lambda: page.run.row().ended, 600)
    rest(1.0)
    window.grab().save(str(HERE / f"train-{mode}.png"))


if __name__ == "__main__":
    main()
