"""What was measured once is found again by hashes, and only for the very same question."""

from __future__ import annotations

from pathlib import Path

from playground.history.store import Store


def test_figures_are_found_for_the_same_question_only(tmp_path: Path) -> None:
    with Store(tmp_path / "playground.db") as store:
        store.add_measured("a" * 64, "b" * 64, "t", 512, 0, 1.0, {"kl_divergence": 1 / 3})
        store.add_measured("a" * 64, "c" * 64, "t", 512, 0, 1.0, {"kl_divergence": 0.5})
        store.add_measured("a" * 64, "b" * 64, "t", 512, 4, 1.0, {"kl_divergence": 0.25})
    with Store(tmp_path / "playground.db") as store:
        found = store.measured("a" * 64, "t", 512, 0)
        assert found == {"b" * 64: {"kl_divergence": 1 / 3}, "c" * 64: {"kl_divergence": 0.5}}
        assert store.measured("a" * 64, "other text", 512, 0) == {}
        assert store.measured("b" * 64, "t", 512, 0) == {}
        store.add_measured("a" * 64, "b" * 64, "t", 512, 0, 2.0, {"kl_divergence": 0.1})
        assert store.measured("a" * 64, "t", 512, 0)["b" * 64] == {"kl_divergence": 0.1}
