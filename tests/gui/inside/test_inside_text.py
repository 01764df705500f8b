"""The text of a capture: tokens where they are read, shades and arcs that are the file's numbers, keys, two texts of a cross attention."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attention_made import random_maps, tokens, written
from PySide6.QtCore import Qt

from playground.inside import shading
from playground.inside.capture import Capture
from playground.inside.layout import Header
from playground.inside.spelling import lines

STORY = "Once upon a time there was a fox who saw another fox and ran away from it over the hills and far away"
WORDS = STORY.split()
TEXTS = ["<s>", *(f" {word}" for word in WORDS), ".\n\n", "The", " end", "\n", "", "🦊", " é"]


@pytest.fixture
def state(dressed: Any) -> Iterator[Any]:
    from playground.gui.bridge import on_window_thread
    from playground.gui.widgets.inside_state import InsideState

    on_window_thread(lambda: None)
    made = InsideState()
    yield made
    made.close()


@pytest.fixture
def view(state: Any, qtbot: Any) -> Any:
    from playground.gui.widgets.inside_text import InsideText

    made = InsideText(state)
    qtbot.addWidget(made)
    made.resize(760, 420)
    made.show()
    return made


def click(qtbot: Any, view: Any, token: int) -> None:
    view.flow.reveal(token)
    qtbot.mouseClick(view.flow.viewport(), Qt.MouseButton.LeftButton, pos=view.flow.rect_of(token).center().toPoint())


def test_every_token_is_on_its_line_and_can_be_hit(state: Any, view: Any, tmp_path: Path) -> None:
    written(tmp_path / "a.attention", TEXTS)
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    flow = view.flow
    rects = [flow.rect_of(place) for place in range(len(TEXTS))]
    assert all(rect is not None and rect.width() > 1 for rect in rects)
    for place, rect in enumerate(rects):
        assert flow.token_at(rect.center()) == place
    end = TEXTS.index("The")
    assert rects[end].top() > rects[end - 1].bottom() and rects[end].left() == pytest.approx(rects[0].left())
    assert flow.rect_of(len(TEXTS)) is None and flow.rect_of(-1) is None
    view.resize(420, 420)
    assert flow.rect_of(end - 1).top() > rects[end - 1].top(), "a narrow text has more lines"


@pytest.mark.parametrize("direction", ["from", "to"])
def test_a_click_shades_by_the_numbers_of_the_file(state: Any, view: Any, qtbot: Any, tmp_path: Path, direction: str) -> None:
    from playground.gui.widgets.inside_flow import shade

    maps = written(tmp_path / "a.attention", TEXTS)
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    state.set_look("head", 1, 2)
    qtbot.mouseClick(view.direction.buttons[direction], Qt.MouseButton.LeftButton)
    click(qtbot, view, 9)
    assert state.token == 9 and state.direction == direction
    expected = maps[1, 2, 9] if direction == "from" else maps[1, 2, :, 9]
    assert np.array_equal(view.weights(), expected) and np.array_equal(view.flow.weights(), expected)
    assert np.allclose(view.flow.levels(), np.sqrt(expected), atol=1e-6)
    assert view.flow.colours() == [shade(float(np.sqrt(each))) for each in expected]
    best = [int(place) for place in np.argsort(-expected, kind="stable")]
    listed = view.attended.rows.rows
    assert [row[0] for row in listed[:5]] == best[:5] and [row[2] for row in listed[:5]] == [
        float(expected[each]) for each in best[:5]
    ]
    ends = [each for each in best if each != 9 and expected[each] >= 0.005][: round(view.arcs.value())]
    assert [arc.end for arc in view.flow.arcs()] == ends and len(ends) > 3
    assert all(arc.start == 9 for arc in view.flow.arcs())
    view.arcs.setValue(2)
    assert len(view.flow.arcs()) == 2
    click(qtbot, view, 9)
    assert state.token is None and view.weights() is None and not view.flow.arcs() and not view.attended.rows.rows


def test_every_mode_shows_what_the_capture_computes(state: Any, view: Any, qtbot: Any, tmp_path: Path) -> None:
    maps = written(tmp_path / "a.attention", TEXTS)
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    state.set_token(12)
    means = maps.mean(1)
    product = np.eye(len(TEXTS))
    for mean in means:
        product = (0.5 * mean + 0.5 * np.eye(len(TEXTS))) @ product
    for mode, expected in (("layer", means[2]), ("all", means.mean(0)), ("rollout", product)):
        state.set_look(mode, 2, 0)
        qtbot.waitUntil(lambda it=expected: view.weights() is not None and np.allclose(view.weights(), it[12], atol=1e-5))
        state.set_token(3, "to")
        qtbot.waitUntil(lambda it=expected: view.weights() is not None and np.allclose(view.weights(), it[:, 3], atol=1e-5))
        state.set_token(12, "from")


def test_the_scale_changes_the_shades_and_never_the_numbers(state: Any, view: Any, tmp_path: Path) -> None:
    maps = written(tmp_path / "a.attention", TEXTS)
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    state.set_look("head", 0, 0)
    state.set_token(8)
    row = maps[0, 0, 8]
    state.set_scale(kind="linear")
    assert np.allclose(view.flow.levels(), row, atol=1e-6)
    state.set_scale(shared=False)
    assert view.flow.levels().max() == pytest.approx(1)
    state.set_scale(hide_sink=True)
    assert view.flow.levels()[0] == 0 and all(arc.end != 0 for arc in view.flow.arcs())
    assert all(row[0] != 0 for row in view.attended.rows.rows)
    for kind in ("log", "percentile"):
        state.set_scale(kind=kind)
        order = np.argsort(view.flow.levels()[1:9], kind="stable")
        assert np.all(np.diff(row[1:9][order]) >= 0), "more weight is never a paler shade"
        assert np.array_equal(view.weights(), row)


def test_hovering_looks_and_a_click_stays(state: Any, view: Any, qtbot: Any, tmp_path: Path) -> None:
    maps = written(tmp_path / "a.attention", TEXTS)
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    qtbot.mouseMove(view.flow.viewport(), view.flow.rect_of(5).center().toPoint())
    view.flow.pointed.emit(5)  # the offscreen platform may keep the mouse to itself
    qtbot.waitUntil(lambda: view.weights() is not None and np.array_equal(view.weights(), maps[0, 0, 5]))
    click(qtbot, view, 7)
    view.flow.pointed.emit(3)
    assert np.array_equal(view.weights(), maps[0, 0, 7]), "what was chosen stays"


def test_by_keys(state: Any, view: Any, qtbot: Any, tmp_path: Path) -> None:
    written(tmp_path / "a.attention", TEXTS)
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    flow = view.flow
    flow.setFocus()
    for key, place in (
        (Qt.Key.Key_Right, 0),
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_End, len(TEXTS) - 1),
        (Qt.Key.Key_Left, len(TEXTS) - 2),
    ):
        qtbot.keyClick(flow, key)
        assert state.token == place
    before = flow.rect_of(state.token).top()
    qtbot.keyClick(flow, Qt.Key.Key_Up)
    assert flow.rect_of(state.token).top() < before
    assert "looks at" in flow.accessibleDescription()
    qtbot.keyClick(view.attended, Qt.Key.Key_Down)
    listed = view.attended.currentIndex().data(Qt.ItemDataRole.UserRole)
    qtbot.keyClick(view.attended, Qt.Key.Key_Return)
    assert state.token == listed
    flow.setFocus()
    qtbot.keyClick(flow, Qt.Key.Key_Escape)
    assert state.token is None


def test_a_difference_has_a_sign(state: Any, view: Any, tmp_path: Path) -> None:
    one = written(tmp_path / "a.attention", TEXTS)
    other = written(tmp_path / "b.attention", TEXTS, random_maps(len(TEXTS), seed=1))
    state.set_captures(Capture(tmp_path / "a.attention"), "a", Capture(tmp_path / "b.attention"), "b")
    state.set_look("head", 2, 1)
    state.set_token(10)
    state.set_view("b")
    assert np.array_equal(view.weights(), other[2, 1, 10])
    state.set_view("difference")
    expected = other[2, 1, 10] - one[2, 1, 10]
    assert np.allclose(view.weights(), expected, atol=1e-7)
    assert np.array_equal(np.sign(view.flow.levels()), np.sign(expected))
    assert {arc.level > 0 for arc in view.flow.arcs()} == {True, False}
    assert "differ" not in view._sum.text()
    written(tmp_path / "c.attention", [*TEXTS[:4], " once", *TEXTS[5:]], random_maps(len(TEXTS), seed=1))
    state.set_captures(state.a, "a", Capture(tmp_path / "c.attention"), "c")
    assert "differ from token 4 on" in view._sum.text()


def test_two_texts_of_a_cross_attention(state: Any, view: Any, qtbot: Any, tmp_path: Path) -> None:
    source = tokens(["▁Guten", "▁Tag", "▁Welt", "</s>"], (3,))
    target = ["<pad>", "▁Good", "▁day"]
    maps = written(tmp_path / "x.attention", target, columns=source, part="cross", causal=False)
    state.set_captures(Capture(tmp_path / "x.attention"), "x")
    assert view.flow.rect_of(4).top() > view.flow.rect_of(3).bottom(), "the target's text is below the source's"
    click(qtbot, view, 4 + 1)
    assert (state.token, state.direction) == (1, "from")
    assert np.array_equal(view.weights(), maps[0, 0, 1]) and np.allclose(
        view.flow.levels()[:4], np.sqrt(maps[0, 0, 1]), atol=1e-6
    )
    assert not view.flow.levels()[4:].any()
    click(qtbot, view, 2)
    assert (state.token, state.direction) == (2, "to")
    assert np.array_equal(view.weights(), maps[0, 0, :, 2]) and np.allclose(
        view.flow.levels()[4:], np.sqrt(maps[0, 0, :, 2]), atol=1e-6
    )


def test_a_capture_that_was_deleted_is_told_and_nothing_is_shaded(state: Any, view: Any, qtbot: Any, tmp_path: Path) -> None:
    written(tmp_path / "a.attention", TEXTS, encoding="u8")
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    (tmp_path / "a.attention").unlink()
    with qtbot.waitSignal(state.failed) as told:
        click(qtbot, view, 4)
    assert "is not there any more" in told.args[0].message and view.weights() is None


def test_thousands_of_tokens_are_wrapped_and_only_what_is_seen_is_placed(state: Any, view: Any, tmp_path: Path) -> None:
    texts = ["<s>"] + [f" {WORDS[place % len(WORDS)]}" if place % 97 else ".\n" for place in range(1, 3000)]
    view.flow.set_lines(lines(Header("u8", True, (0,), (0,), 1, 1, 1, 8, tokens(texts))), len(texts))
    view.flow.reveal(2990)
    rect = view.flow.rect_of(2990)
    assert view.flow.viewport().rect().contains(rect.toRect())
    assert view.flow.token_at(rect.center()) == 2990
    placed = sum(each.boxes is not None for each in view.flow._flow._paragraphs)
    assert placed < len(view.flow._flow._paragraphs) / 2


# -- without a window


def joined(texts: list[str], special: tuple[int, ...] = (), **more: Any) -> str:
    header = Header("u8", False, (0,), (0,), 1, 1, 1, 8, tokens(texts, special), **more)
    return "\n".join("".join(piece.text for piece in line) for line in lines(header))


def test_tokens_named_by_their_vocabulary_are_read_as_text() -> None:
    assert joined(["[CLS]", "the", "un", "##believ", "##able", "fox", ",", "(", "red", ")", "[SEP]"], (0, 10)) == (
        "[CLS] the unbelievable fox, (red)[SEP]"
    )
    assert joined(["▁A", "▁f", "ox", "</s>"], (3,)) == " A fox</s>"
    assert joined(["<s>", "A", "Ġfox", "Ċ", "B"], (0,)) == "<s>A fox⏎\nB"
    made = lines(Header("u8", True, (0,), (0,), 1, 1, 1, 8, tokens(["狐", "狸", "<eos>"], (2,))))
    assert "".join(piece.text for line in made for piece in line) == "狐狸<eos>", "what writes has texts already"


def test_pieces_keep_every_token_and_line() -> None:
    made = lines(Header("u8", True, (0,), (0,), 1, 1, 1, 8, tokens(["<s>\n", "a\n\nb", "", "\n", "\r\t\x07"], (0,))))
    assert [[(piece.token, piece.text, piece.kind) for piece in line] for line in made] == [
        [(0, "<s>⏎", "special"), (1, "a", ""), (1, "⏎", "mark")],
        [(1, "⏎", "mark")],
        [(1, "b", ""), (2, "∅", "mark"), (3, "⏎", "mark")],
        [(4, "␍\t␇", "")],
    ]


def test_the_strongest_are_those_with_the_greatest_amounts() -> None:
    row = np.array([0.5, 0.0, -0.7, 0.2, 0.2, 0.0], np.float32)
    assert shading.strongest(row, 10) == [2, 0, 3, 4] and shading.strongest(row, 2, {2}) == [0, 3]
    assert shading.levels(row, "linear").tolist() == pytest.approx(row.tolist())
    assert shading.levels(row, "sqrt", hide_sink=True, shared=False)[[0, 2]].tolist() == pytest.approx([0, -1])
