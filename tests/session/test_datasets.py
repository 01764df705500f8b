"""Datasets through the session's door: a real worker reads, shows as tokens, imports; the user's own chats become a dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from playground.errors import DataError, ModelFileError, NotFoundError
from playground.history.records import MessageRow, SessionRow, VoteRow
from playground.history.store import Store
from playground.paths import Home, resources
from playground.session import Session
from playground.session.logged_rows import LogFilter, logged_rows
from playground.training.datasets import rows_of
from playground.training.encode import EncodeSettings, collate, encode_all
from playground.workers.folder_tokenizer import FolderTokenizer

from .conftest import PATIENCE, Listening

LINES = [
    {"krz": "What is 1 + 1?", "plum": "1 + 1 = 2.", "note": "a remark of mine"},
    {"krz": "Hi there", "plum": "", "note": "a remark of mine"},
    {"krz": "Hi you", "plum": "Hello, write to me@mail.org.", "note": "a remark of mine"},
]


def test_from_a_file_to_a_dataset(listening: Listening, tmp_path: Path) -> None:
    datasets = listening.session.datasets
    file = tmp_path / "talk.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    first = datasets.look(file).result(PATIENCE)
    assert not first.guess.schema and first.guess.columns == ("krz", "plum", "note") and first.counts == {"columns": 3}
    guess = replace(first.guess, schema="answers", names={"question": "krz", "answer": "plum"})
    look = datasets.look(file, guess, {"e-mail address": "keep"}).result(PATIENCE)
    assert (look.read, look.kept) == (3, 2) and dict(look.counts) == {"empty answer": 1, "e-mail address": 1}
    assert look.problems[0].place == "row 2, plum" and sum(look.lengths) == 2
    shown = datasets.preview(look, "starter", share=0.5, seed=1).result(PATIENCE)
    assert shown.held == 1 and set(shown.held_out) < {1, 3} and shown.whole == shown.lengths
    read = datasets.row(look, 2).result(PATIENCE)
    assert json.loads(read.raw) == LINES[1] and not read.row
    made = datasets.import_look(look).result(PATIENCE)
    assert (made.name, made.rows, made.title) == ("talk", 2, "Questions and answers")
    # what was shown is what the collator gives for the imported rows
    tokenizer = FolderTokenizer(resources() / "starter")
    batch = collate(list(encode_all(rows_of(made.file), tokenizer, tokenizer.template, EncodeSettings())), tokenizer.pad_id)
    for place, row in enumerate(shown.rows):
        assert (
            tuple(batch["input_ids"][place][: len(row.ids)]) == row.ids
            and tuple(batch["labels"][place][: len(row.ids)]) == row.labels
        )
    assert datasets.preview("talk", "starter").result(PATIENCE).rows == shown.rows
    assert [row.row for row in shown.rows] == [1, 3]
    assert [each.sha256 for each in datasets.list().result(PATIENCE)] == [made.sha256]
    assert datasets.resolve("talk").sha256 == made.sha256
    datasets.delete("talk").result(PATIENCE)
    assert list(datasets.list().result(PATIENCE)) == []
    with pytest.raises(NotFoundError, match="no dataset and no file"):
        datasets.resolve("talk")
    gguf = tmp_path / "alone.gguf"
    gguf.write_bytes(b"GGUF")
    with pytest.raises(ModelFileError, match="is a GGUF file, and training needs"):
        datasets.preview(look, str(gguf)).result(PATIENCE)


def test_a_preview_tells_what_only_tokens_show(listening: Listening, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = [("Hi", "Hello " * 40), ("Hi " * 60, "Hello"), ("Hi", "Bye <|im_end|> now")]
    file.write_text("".join(json.dumps({"prompt": q, "completion": a}) + "\n" for q, a in rows), encoding="utf-8")
    datasets = listening.session.datasets
    look = datasets.look(file).result(PATIENCE)
    shown = datasets.preview(look, "starter", {"max_tokens": 32}).result(PATIENCE)
    assert [(each["kind"], each["row"]) for each in shown.problems] == [
        ("too long", 1),
        ("not learnable", 2),
        ("control token", 3),
    ]
    assert "cut off wholly" in shown.rows[1].problem and not shown.rows[1].ids
    assert shown.cut == 1 and len(shown.lengths) == 2 and shown.packed == 2


def filled(store: Store) -> Store:
    """Two chats, the second with a reply that failed, and a comparison with a vote."""
    for number, state in ((1, "complete"), (2, "failed")):
        chat = f"s{number}"
        store.add_session(
            SessionRow(chat, title=f"talk {number}", system="Be kind.", tip=f"{number}-3", updated=100.0 * number)
        )
        for at, text in enumerate(("Hi", f"Hello {number}.", "Well?", "Yes.")):
            role, parent = ("user", "assistant")[at % 2], f"{number}-{at - 1}" if at else ""
            store.add_message(
                MessageRow(f"{number}-{at}", chat, parent, role, text, state if at == 3 else "complete", at + 1.0)
            )
    store.add_session(SessionRow("c", kind="compare", updated=50.0))
    for at, (parent, role, text) in enumerate(
        (("", "user", "2?"), ("c-0", "assistant", "Two."), ("c-0", "assistant", "Three."))
    ):
        store.add_message(MessageRow(f"c-{at}", "c", parent, role, text, created=at + 1.0))
    store.replace_votes(["c-1", "c-2"], [VoteRow("v", "c", "c-1", "c-2")])
    return store


def test_the_log_as_training_rows() -> None:
    store = filled(Store())

    def asked(**fields: Any) -> list[dict[str, Any]]:
        return logged_rows(store, LogFilter(**fields))

    (whole,) = asked(sessions=("s1",))
    assert [each["content"] for each in whole["messages"]] == ["Be kind.", "Hi", "Hello 1.", "Well?", "Yes."]
    (failed,) = asked(sessions=("s2",))
    assert [each["content"] for each in failed["messages"]] == ["Be kind.", "Hi", "Hello 2.", "Well?"]
    assert len(asked()) == 3 and len(asked(rating="chats")) == 2 and len(asked(holds="TALK 1")) == 1
    assert len(asked(since=150.0)) == 1 and len(asked(since=70.0, until=150.0)) == 1
    (pair,) = asked(rating="preferred")
    assert pair["chosen"] == [{"role": "assistant", "content": "Two."}] and pair["prompt"][0]["content"] == "2?"
    store.close()


def test_a_dataset_of_the_log(home: Home) -> None:
    home.root.mkdir()
    filled(Store(home.database)).close()
    left = home.cache / "datasets" / "5000000-0123.jsonl"  # by a process that was killed: no process has such a number
    left.parent.mkdir(parents=True)
    left.write_text("what was said", encoding="utf-8")
    session = Session(home)
    session.start()
    try:
        made = session.datasets.from_log(LogFilter()).result(PATIENCE)
        rows = list(rows_of(made.file))
        assert made.rows == 3 and made.source == "the log" and {row.rejected for row in rows} == {"", "Three."}
        assert not list((home.cache / "datasets").iterdir())
        with pytest.raises(DataError, match="No logged chat fits"):
            session.datasets.from_log(LogFilter(sessions=("none",))).result(PATIENCE)
    finally:
        session.close()
