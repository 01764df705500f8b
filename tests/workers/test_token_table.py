"""Words looked up by the worker: the starter's file and folder say the same, words of several tokens are means, refusals are sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from playground import protocol
from playground.errors import NotFoundError, PlaygroundError, SettingError, from_kind
from playground.models.token_table import open_table
from playground.paths import starter
from tests.workers.talk import Talk

WORDS = ("fox", "dog", " fox", "unhappiness")


@pytest.fixture(scope="module")
def tables() -> Iterator[Talk]:
    talk = Talk("playground.workers.token_table")
    yield talk
    talk.close()


def embedded(talk: Talk, model: Path, *words: str, **more: object) -> protocol.Embedded:
    talk.send(protocol.Embed(talk.number(), str(model), words, **more))  # type: ignore[arg-type]
    answer = talk.until((protocol.Embedded, protocol.Failed))
    if isinstance(answer, protocol.Failed):
        raise AssertionError(answer.details) if answer.kind == "Bug" else from_kind(answer.kind, answer.message, answer.hint)
    return answer


def test_the_file_and_the_folder_say_the_same(tables: Talk) -> None:
    pytest.importorskip("tokenizers", reason="folders need it")
    of_file, of_folder = (embedded(tables, each, *WORDS, count=5) for each in (starter(), starter().parent))
    assert [each.token_ids for each in of_file.words] == [each.token_ids for each in of_folder.words]
    assert [each.tokens for each in of_file.words] == [each.tokens for each in of_folder.words]
    for one, other in zip(of_file.neighbours, of_folder.neighbours, strict=True):
        assert [each.similarity for each in one] == pytest.approx([each.similarity for each in other], abs=2e-3)
        assert {each.text for each in one[:3]} == {each.text for each in other[:3]}
    fox, dog, within, several = of_file.words
    assert fox.tokens == within.tokens == (" fox",) and len(several.token_ids) > 1 and dog.text == "dog"
    table = open_table(starter())
    mean = table.take(several.token_ids).mean(axis=0)
    every = table.take(range(table.rows))
    cosines = (every @ mean) / np.linalg.norm(every, axis=1) / np.linalg.norm(mean)
    cosines[list(several.token_ids)] = -1
    assert [each.token_id for each in of_file.neighbours[3]] == np.argsort(-cosines)[:5].tolist()
    assert of_file.matrix[0][2] == pytest.approx(1) and of_file.matrix[0][1] == pytest.approx(of_file.matrix[1][0])
    assert [each.text for each in of_file.points[:4]] == list(WORDS) and all(each.token_id >= 0 for each in of_file.points[4:])
    assert 0 < of_file.explained[1] <= of_file.explained[0] < 1 and of_file.tied and of_file.kind == "F16"


def test_what_cannot_be_looked_up_is_said(tables: Talk, tmp_path: Path) -> None:
    for words, more, error, sentence in (
        ((), {}, SettingError, "no word"),
        ((" ",), {}, SettingError, "no word"),
        (tuple(map(str, range(65))), {}, SettingError, "too many"),
        (("a",), {"table": "output"}, SettingError, "one table"),
    ):
        with pytest.raises(error, match=sentence):
            embedded(tables, starter(), *words, **more)
    with pytest.raises(NotFoundError, match="There is no model"):
        embedded(tables, tmp_path / "none.gguf", "a")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(PlaygroundError):
        embedded(tables, tmp_path / "bad.gguf", "a")
