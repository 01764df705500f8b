"""What is said beside the view: the numbers are those of the capture at hand, of any shape of model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attention_made import tokens, written
from PySide6.QtWidgets import QLabel

from playground.inside.capture import Capture
from playground.inside.explaining import ModelFacts, sections
from playground.inside.layout import Header
from playground.inside.look import Look

BASE = Header("u8", True, tuple(range(6)), tuple(range(8)), 6, 8, 2, 64, tokens([f"t{place}" for place in range(125)]))


def said(
    header: Header = BASE, look: Look | None = None, token: int | None = None, facts: ModelFacts | None = None
) -> dict[str, str]:
    return {each.name: f"{each.title} {each.text}" for each in sections(header, look or Look("head", 3, 5), token, facts)}


def test_the_numbers_of_the_model_at_hand() -> None:
    found = said(token=28)
    assert "√64 = 8.00" in found["product"] and "125" in found["product"]
    assert "Row 28 shares 1 among 29 tokens" in found["softmax"]
    assert "15,625" in found["mask"] and "7,875" in found["mask"]
    assert "6 layers of 8 heads make 48 maps" in found["heads"]
    assert "share 2 sets of keys and values, 4 heads each" in found["heads"] and "keys of heads 4, 6 and 7" in found["heads"]
    assert "0.004" in found["kept"]
    some = said(replace(BASE, heads=(1, 2), layers=(0,)))
    assert "2 are in this capture" in some["heads"]


def test_other_kinds_of_attention() -> None:
    assert "keys and values of its own" in said(replace(BASE, kv_heads=8))["heads"]
    assert "multi-query" in said(replace(BASE, kv_heads=1))["heads"]
    both = said(replace(BASE, causal=False))
    assert "both directions" in both["mask"] and "all 125 tokens" in both["softmax"]
    cross = said(replace(BASE, causal=False, part="cross", columns=tokens(["a", "b", "c"])))
    assert (
        "375 cells" in cross["mask"]
        and "3 tokens of the source" in cross["softmax"]
        and "nothing to multiply" in cross["rollout"]
    )


def test_windows_and_caps_where_the_model_has_them() -> None:
    plain = said(facts=ModelFacts())
    assert "no sliding window" in plain["absent"] and "no soft cap" in plain["absent"] and "window" not in plain
    held = ModelFacts(64, (True, False) * 3, True)
    assert "3 of the 6 layers see only the last 64 tokens" in said(facts=held, look=Look("head", 2, 0))["window"]
    assert "layer 2 is one of them." in said(facts=held, look=Look("head", 2, 0))["window"]
    assert "layer 3 sees all before it" in said(facts=held)["window"] and "cap" in said(facts=held)
    long = replace(held, window=4096)
    assert "nothing is cut off yet" in said(facts=long, look=Look("head", 2, 0))["window"]
    assert "absent" not in said(facts=held)


def test_the_panel_follows_layer_head_and_token(dressed: Any, qtbot: Any, tmp_path: Path) -> None:
    from playground.gui.bridge import on_window_thread
    from playground.gui.widgets.inside_explain import InsideExplain
    from playground.gui.widgets.inside_state import InsideState

    on_window_thread(lambda: None)
    state = InsideState()
    panel = InsideExplain(state)
    qtbot.addWidget(panel)
    panel.show()
    written(tmp_path / "a.attention", ["<s>", " a", " b", " a"])
    state.set_captures(Capture(tmp_path / "a.attention"), "a")

    def text(name: str) -> str:
        label = panel.findChild(QLabel, f"inside.explain.{name}")
        assert label is not None
        return label.text() if not label.isHidden() else ""

    assert "√8 = 2.83" in text("product") and "Layer 0, head 0" in text("product")
    state.set_look("head", 2, 3)
    state.set_token(2)
    assert "Layer 2, head 3" in text("product") and "Row 2 shares 1 among 3 tokens" in text("softmax")
    assert "keys of head 2." in text("heads")
    assert [
        label.y() for label in (panel.findChild(QLabel, f"inside.explain.{name}") for name in ("product", "mask", "kept"))
    ] == sorted(
        label.y() for label in (panel.findChild(QLabel, f"inside.explain.{name}") for name in ("product", "mask", "kept"))
    )
    assert panel.grab().width() > 0
    state.set_captures(None)
    assert text("product") == ""
    state.close()


@pytest.mark.parametrize("name", ["starter.gguf"])
def test_what_a_header_says_of_windows_and_caps(name: str, tmp_path: Path) -> None:
    from playground.paths import resources
    from playground.session.inside_facts import facts_of

    starter = next((resources() / "starter").glob("*.gguf"))
    found = facts_of(starter)
    assert found is not None and not found.window and not found.capped and len(found.sliding) == 6
    assert facts_of(tmp_path / name) is None
