"""`playground fit FILE --dry-run`: the engine's own count beside the estimate, and a sentence where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.errors import MemoryShortError, ModelFileError
from playground.params import ContextSettings
from playground.paths import starter
from playground.session.dry_run import dry_run
from tests.cli.test_fit import SMALL_WINDOW, answer, run
from tests.models_made import shaped_model

NOWHERE = "http://127.0.0.1:9"


def test_the_engine_counts_what_is_estimated(tmp_path: Path) -> None:
    for path, context in ((starter(), 1024), (shaped_model(tmp_path / "window.gguf", SMALL_WINDOW, "Q8_0"), 3072)):
        found = answer(
            run(tmp_path, NOWHERE, "fit", str(path), "--context", str(context), "--parallel", "2", "--dry-run", "--json")
        )
        counted = found["dry_run"]
        assert counted["context"] == context
        assert counted["total"] == sum(counted["terms"].values())
        for term, nbytes in counted["terms"].items():
            assert found["terms"][term] == pytest.approx(nbytes, rel=0.01, abs=20_000), (
                term
            )  # the log prints MiB with two digits
        assert counted["terms"]["kv_cache"] > 0


def test_a_quantized_cache_is_counted(tmp_path: Path) -> None:
    plain = dry_run(starter(), ContextSettings(context=1024)).terms["kv_cache"]
    small = dry_run(starter(), ContextSettings(context=1024, kv_type_k="q8_0", kv_type_v="q8_0")).terms["kv_cache"]
    assert small == pytest.approx(plain * 34 / 64, rel=0.01)


def test_more_memory_than_there_is_can_be_counted() -> None:
    counted = dry_run(starter(), ContextSettings(context=16_000_000))
    assert counted.terms["kv_cache"] > 50 << 30


def test_what_cannot_be_counted_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(starter().read_bytes()[:50_000])
    with pytest.raises((ModelFileError, MemoryShortError)) as caught:
        dry_run(broken, ContextSettings(context=512))
    assert caught.value.hint
    for arguments, words in (
        (("fit", "acme/none:x.gguf", "--dry-run"), "on this computer"),
        (("fit", str(starter()), "--dry-run", "--train", "lora"), "not for training"),
        (("fit", str(starter().parent), "--dry-run"), "for GGUF files"),
    ):
        done = run(tmp_path, NOWHERE, *arguments)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
