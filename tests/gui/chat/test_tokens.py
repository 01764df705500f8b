"""Where tokens are in a text that was rendered, and how surprising they were."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from PySide6.QtWidgets import QToolButton, QWidget

from playground.gui.widgets.token_marks import TokenMark, align, degree, legend, within


def mark(start, end, probability=0.5, entropy=1.0, text="x"):
    token = SimpleNamespace(token_id=1, text=text, logprob=-1.0, probability=probability, entropy=entropy, alternatives=())
    return TokenMark(start, end, token, "g", start)


@pytest.mark.parametrize(
    ("source", "shown", "words"),
    [
        ("a **bold** word", "a bold word", ("bold", "word")),
        ("1. one\n2. two *and* three\n\nafter", "one\ntwo and three\nafter", ("one", "two", "and", "three", "after")),
        ("see [the page](http://x.org/after) after", "see the page after", ("see", "the page")),
        ("`code` & more", "code & more", ("code", "more")),
        ("plain text with nothing in it, " * 8 + "end", "plain text with nothing in it, " * 8 + "end", ("end",)),
        ("# Head\n\ntext", "Head\ntext", ("Head", "text")),
        ("one two", "one 0.2 two", ("one", "two")),
    ],
)
def test_words_are_found_again_in_what_became_of_them(source, shown, words):
    to = align(source, shown)
    assert len(to) == len(source) + 1 and to == sorted(to)
    for word in words:
        start = source.rindex(word)
        assert shown[to[start] : to[start + len(word) - 1] + 1] == word, (word, to)


def test_degrees_are_by_probability_or_entropy_and_have_a_legend():
    assert [degree(mark(0, 1, each), "probability") for each in (1.0, 0.9, 0.7, 0.5, 0.2, 0.05, 0.001)] == [0, 0, 1, 2, 3, 4, 5]
    bits = 0.6931471805599453
    assert [degree(mark(0, 1, entropy=each * bits), "entropy") for each in (0.0, 0.8, 1.5, 3.0, 4.0, 9.0)] == [0, 1, 2, 3, 4, 5]
    assert len(legend("probability")) == len(legend("entropy")) == 6


def test_tokens_within_a_stretch():
    marks = [mark(0, 3), mark(3, 3), mark(3, 8), mark(8, 12), mark(12, 20)]
    assert within(marks, 4, 12) == [marks[2], marks[3]]
    assert within(marks, 0, 3) == [marks[0]]
    assert within(marks, 20, 30) == []


def test_a_layer_finds_tokens_under_the_mouse_and_paints_under_marks_and_wide_characters(qtbot, dressed):
    from PySide6.QtCore import QPointF

    from playground.gui.widgets.reply_parts import split
    from playground.gui.widgets.text_part import TextPart
    from playground.gui.widgets.token_layer import TokenLayer

    source = "🦊 **one** two [three](http://a.b/c) four five"
    words = ("one", "two", "three", "four", "five")
    view = TextPart()
    qtbot.addWidget(view)
    view.resize(600, 60)
    view.show_part(split(source)[0], [(source.index("four"), "0.2", "tip")])
    view.setFixedHeight(view.height_for(600))
    view.show()
    spans = [(source.index(word), source.index(word) + len(word), mark(0, 1, 0.01, text=word)) for word in words]
    view.tokens = TokenLayer(view)
    view.tokens.set(source, spans, "probability")
    for _, _, each in spans:
        rect = view.tokens.rect_of(each)
        assert rect is not None and view.tokens.at(rect.center()) is each, each.token.text
    assert view.tokens.at(QPointF(590, 10)) is None
    with_colours = view.grab().toImage()
    view.tokens.set("", (), "off")
    assert with_colours != view.grab().toImage()


def test_a_track_shows_the_most_surprising_token_of_a_pixel_and_says_which_was_clicked(qtbot, dressed):
    from PySide6.QtCore import Qt

    from playground.gui.widgets.token_track import TokenTrack

    track = TokenTrack()
    qtbot.addWidget(track)
    track.resize(100, 30)
    marks = [mark(place, place + 1) for place in range(1000)]
    marks[503].token.logprob = -9.0
    track.show_marks(marks)
    track.show()
    assert track.mark_at(50.0) is marks[503]
    picked = []
    track.picked.connect(picked.append)
    qtbot.mouseClick(track, Qt.MouseButton.LeftButton, pos=track.point_of(503))
    assert picked == [marks[503]]


def test_the_chart_lets_cut_tokens_fall_and_chooses_by_mouse_and_keys(qtbot, dressed):
    import numpy as np
    from PySide6.QtCore import Qt

    from playground.decoding.live_chain import LiveChain
    from playground.gui.widgets.lab_chart import LabChart
    from playground.params import SamplingSettings

    logits = np.linspace(0, 9, 300).astype(np.float32)
    chart = LabChart()
    qtbot.addWidget(chart)
    chart.resize(420, 560)
    chart.show()
    live = LiveChain(logits)
    chart.show_steps(live.steps(SamplingSettings(top_k=3, min_p=0.0, top_p=1.0)), str, drawn=298)
    assert [row.token_id for row in chart.rows[:4]] == [299, 298, 297, 296]
    assert [row.cut_by for row in chart.rows[:4]] == ["", "", "", "top_k"]
    assert "cut off" in chart.tip_at(chart.row_point(296)) and "cut off" not in chart.tip_at(chart.row_point(298))
    chosen = []
    chart.chosen.connect(chosen.append)
    qtbot.mouseClick(chart, Qt.MouseButton.LeftButton, pos=chart.row_point(297))
    assert not chosen, "there is no token to replace"
    chart.can_choose = True
    qtbot.mouseClick(chart, Qt.MouseButton.LeftButton, pos=chart.row_point(297))
    qtbot.keyClick(chart, Qt.Key.Key_Up)
    qtbot.keyClick(chart, Qt.Key.Key_Return)
    qtbot.keyClick(chart, Qt.Key.Key_Up)
    qtbot.keyClick(chart, Qt.Key.Key_Return)
    assert chosen == [297, 299], "the drawn one is no choice"
    chart.grab()
    assert chart.paints
    # what penalties lift into the draw gets a row, however low the model had it
    lifted = LiveChain(logits, [5] * 64).steps(SamplingSettings(frequency_penalty=-2.0))
    chart.show_steps(lifted, str)
    assert 5 in [row.token_id for row in chart.rows] and len(chart.rows) == 20


def test_a_text_that_grows_is_laid_beside_its_source_as_the_whole_would_be():
    from playground.gui.widgets.token_marks import common_start

    source = "The **fox** ran. 🦊 *And* then [it](http://a.b) slept, and slept. " * 12
    shown = source.replace("**", "").replace("*", "").replace("[it](http://a.b)", "it")
    known, before, old = [0], "", ""
    for end in range(5, len(source), 37):
        part, text = source[:end], shown[: align(source, shown)[end]]
        start = max(0, min(common_start(before, part), len(known) - 1) - 64)
        while start > 0 and known[start] > common_start(old, text) - 64:
            start = max(0, start - 64)
        known, before, old = align(part, text, known, start), part, text
        assert known == align(part, text)
    assert common_start("abcdef", "abcxef") == 3 and common_start("", "a") == 0 and common_start("ab", "ab") == 2


def test_in_a_narrow_chat_the_colours_are_named_in_full(dressed, qtbot):
    from playground.gui.widgets.token_legend import TokenLegend

    legend = TokenLegend()
    qtbot.addWidget(legend)
    legend.show()
    for width in (300, 480, 700):
        legend.resize(width, 40)
        for mode in ("probability", "entropy", "off"):
            button = legend.findChild(QToolButton, f"colours.{mode}")
            assert button.width() >= button.sizeHint().width()
    assert legend.findChild(QWidget, "colours.legend").isVisible()
