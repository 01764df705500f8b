"""The table of heads: the scores are the file's, it sorts, filters, chooses and writes; what the words of the filter mean."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attention_made import HEADS, LAYERS, random_maps, written
from PySide6.QtCore import Qt

from playground.inside import finding
from playground.inside.capture import Capture
from playground.inside.finding import HeadRow, read_filter
from playground.inside.head_scores import NAMES

TEXTS = ["<s>", *[" the", " fox", " ran", "."] * 4]


def induction_at(layer: int, head: int) -> np.ndarray:
    """Random maps, one head of which looks at what followed the last time."""
    maps = random_maps(len(TEXTS))
    maps[layer, head] = 0
    for row in range(len(TEXTS)):
        before = [place for place in range(row) if TEXTS[place] == TEXTS[row]]
        maps[layer, head, row, before[-1] + 1 if before else 0] = 1
    return maps


@pytest.fixture
def state(dressed: Any) -> Any:
    from playground.gui.bridge import on_window_thread
    from playground.gui.widgets.inside_state import InsideState

    on_window_thread(lambda: None)
    made = InsideState()
    yield made
    made.close()


@pytest.fixture
def finder(state: Any, qtbot: Any) -> Any:
    from playground.gui.widgets.head_finder import HeadFinder

    made = HeadFinder(state)
    qtbot.addWidget(made)
    made.resize(900, 400)
    made.show()
    return made


def test_the_best_head_is_on_top_when_the_table_is_first_seen(state: Any, qtbot: Any, tmp_path: Path) -> None:
    from playground.gui.widgets.head_finder import HeadFinder

    written(tmp_path / "a.attention", TEXTS, induction_at(2, 1))
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    order = HeadFinder(state)
    qtbot.addWidget(order)
    last = order.table.rows.rows()[-1]
    state.set_look("head", last.layer, last.head)
    made = HeadFinder(state)
    qtbot.addWidget(made)
    made.resize(900, 220)
    made.show()
    made.grab()
    bar = made.table.verticalScrollBar()
    assert bar.maximum() > 0 and bar.value() == 0
    assert made.table.place() == LAYERS * HEADS - 1, "it is chosen all the same"


def names(finder: Any) -> list[str]:
    model = finder.table.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def test_the_induction_head_comes_first_and_choosing_it_looks_at_it(
    state: Any, finder: Any, qtbot: Any, tmp_path: Path
) -> None:
    written(tmp_path / "a.attention", TEXTS, induction_at(2, 1))
    capture = Capture(tmp_path / "a.attention")
    state.set_captures(capture, "a")
    assert len(names(finder)) == LAYERS * HEADS and names(finder)[0] == "2.1"
    model = finder.table.model()
    for row in range(model.rowCount()):
        layer, head = map(int, model.index(row, 0).data().split("."))
        shown = [model.index(row, 1 + column).data(Qt.ItemDataRole.UserRole) for column in range(len(NAMES))]
        assert shown == [float(each) for each in capture.scores[layer, head]]
    table = finder.table
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(model.index(0, 3)).center())
    assert (state.look.mode, state.look.layer, state.look.head) == ("head", 2, 1)
    qtbot.keyClick(table, Qt.Key.Key_Down)
    second = names(finder)[1]
    assert f"{state.look.layer}.{state.look.head}" == second
    state.set_look("head", 0, 3)
    assert names(finder)[table.place()] == "0.3"
    state.set_look("layer")
    assert table.place() == -1


def test_it_sorts_by_every_column(state: Any, finder: Any, tmp_path: Path) -> None:
    written(tmp_path / "a.attention", TEXTS)
    capture = Capture(tmp_path / "a.attention")
    state.set_captures(capture, "a")
    for column, name in enumerate(NAMES, 1):
        for order, sign in ((Qt.SortOrder.DescendingOrder, -1), (Qt.SortOrder.AscendingOrder, 1)):
            finder.table.sortByColumn(column, order)
            found = [row.scores[name] * sign for row in finder.table.rows.rows()]
            assert found == sorted(found)


def test_the_filter_keeps_what_it_says_and_tells_what_it_cannot_read(
    state: Any, finder: Any, qtbot: Any, tmp_path: Path
) -> None:
    written(tmp_path / "a.attention", TEXTS, induction_at(2, 1))
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    qtbot.keyClicks(finder.filter, "induction > 0.9")
    assert names(finder) == ["2.1"] and finder.count.text() == "1 of 12 heads"
    finder.filter.setText("layer 1, head < 2")
    assert sorted(names(finder)) == ["1.0", "1.1"]
    finder.filter.setText("bananas > 2")
    assert len(names(finder)) == 12 and "bananas > 2" in finder.count.text() and finder.filter.property("invalid")
    finder.filter.clear()
    assert not finder.filter.property("invalid")


def test_a_text_without_repetition_cannot_tell(state: Any, finder: Any, tmp_path: Path) -> None:
    written(tmp_path / "a.attention", ["<s>", "a", "b", "c"])
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    model = finder.table.model()
    assert names(finder)[:2] == ["0.0", "0.1"], "in the model's order where there is no induction to sort by"
    assert model.index(0, 3).data() == "–" and "cannot tell" in model.index(0, 3).data(Qt.ItemDataRole.ToolTipRole)


def test_a_difference_is_b_minus_a(state: Any, finder: Any, tmp_path: Path) -> None:
    written(tmp_path / "a.attention", TEXTS)
    written(tmp_path / "b.attention", TEXTS, induction_at(2, 1))
    one, other = Capture(tmp_path / "a.attention"), Capture(tmp_path / "b.attention")
    state.set_captures(one, "a", other, "b")
    state.set_view("difference")
    finder.table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    top = finder.table.rows.rows()[0]
    assert top.name == "2.1" and top.scores["induction"] == pytest.approx(float((other.scores - one.scores)[2, 1, 2]))
    assert finder.table.model().index(0, 3).data().startswith("+")
    state.set_view("b")
    assert finder.table.rows.rows()[0].scores["induction"] == pytest.approx(1, abs=0.2)


def test_scores_leave_as_csv(state: Any, finder: Any, qtbot: Any, tmp_path: Path) -> None:
    written(tmp_path / "a.attention", TEXTS)
    capture = Capture(tmp_path / "a.attention")
    state.set_captures(capture, "a")
    finder.filter.setText("layer 1")
    finder.export(tmp_path / "heads.csv")
    rows = list(csv.DictReader((tmp_path / "heads.csv").read_text("utf-8").splitlines()))
    assert len(rows) == HEADS
    for row in rows:
        found = [float(row[name]) for name in NAMES]
        assert found == [float(each) for each in capture.scores[int(row["layer"]), int(row["head"])]]
    with qtbot.waitSignal(state.failed) as told:
        finder.export(tmp_path / "a.attention" / "there.csv")
    assert "cannot be written" in told.args[0].message


def test_it_opens_at_the_top_of_its_order_whatever_is_chosen(state: Any, finder: Any, qtbot: Any, tmp_path: Path) -> None:
    finder.resize(900, 200)
    written(tmp_path / "a.attention", TEXTS, induction_at(1, 2))
    capture = Capture(tmp_path / "a.attention")
    last = finding.heads(capture)
    last.sort(key=lambda row: row.scores["induction"])
    state.set_look("head", last[0].layer, last[0].head)
    state.set_captures(capture, "a")
    qtbot.waitUntil(lambda: finder.table.verticalScrollBar().maximum() > 0)
    assert finder.table.verticalScrollBar().value() == 0 and finder.table.place() == LAYERS * HEADS - 1
    state.set_look(head=(last[0].head + 1) % HEADS)
    state.set_look(head=last[0].head)
    assert finder.table.verticalScrollBar().value() > 0, "what is chosen then is shown"


def test_scores_that_do_not_fit_leave_the_file_that_was_there(
    state: Any, finder: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "a.attention", TEXTS)
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    target = tmp_path / "heads.csv"
    target.write_text("the last ones")
    whole = Path.write_text

    def half(path: Path, text: str, *more: Any) -> int:
        whole(path, text[: len(text) // 2], *more)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with qtbot.waitSignal(state.failed) as told:
        finder.export(target)
    assert "disk is full" in told.args[0].message
    assert target.read_text() == "the last ones" and len(list(tmp_path.iterdir())) == 2


def test_every_score_is_explained_with_its_source(finder: Any, qtbot: Any) -> None:
    from playground.gui.widgets.glossary import Term

    terms = finder.findChildren(Term)
    assert len(terms) == len(NAMES)
    for term in terms:
        popup = term.explain()
        said = " ".join(label.text() for label in popup.findChildren(type(finder.count)))
        assert "20" in said and len(said) > 80, "a sentence, and where it comes from"
        popup.close()


# -- the words of the filter


def row(layer: int, head: int, **scores: float) -> HeadRow:
    return HeadRow(layer, head, dict.fromkeys(NAMES, 0.1) | scores)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ["0.0", "1.2", "2.3"]),
        ("1.2", ["1.2"]),
        ("0.0, 2.3", ["0.0", "2.3"]),
        ("ind", ["1.2"]),
        ("induction", ["1.2"]),
        ("sink >= 0.5", ["2.3"]),
        ("sink<.5", ["0.0", "1.2"]),
        ("Layer 2 and sink > 0.1", ["2.3"]),
        ("L<=1, H = 2", ["1.2"]),
        ("uniform 0.05", ["0.0", "1.2"]),
    ],
)
def test_words_of_the_filter(text: str, kept: list[str]) -> None:
    rows = [row(0, 0), row(1, 2, induction=0.4), row(2, 3, sink=0.8, uniform=float("nan"))]
    keeps, unread = read_filter(text)
    assert not unread and [each.name for each in rows if keeps(each)] == kept


@pytest.mark.parametrize("text", ["layer", "induction >", "3.5.1", "> 0.4", "quality 3", "induction 0.3 or sink"])
def test_what_is_no_filter_is_said(text: str) -> None:
    assert read_filter(text)[1] == text


def test_csv_leaves_out_what_is_not_known() -> None:
    made = finding.to_csv([row(3, 5, local=float("nan"))])
    assert made.splitlines() == ["layer,head,previous,sink,induction,duplicate,local,uniform", "3,5,0.1,0.1,0.1,0.1,,0.1"]
