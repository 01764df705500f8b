"""Prompts as people keep them: lines, JSON Lines, CSV; a row that is none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.decoding import prompt_lists
from playground.decoding.prompt_lists import Form, Prompt, parse, read
from playground.errors import DataError


@pytest.mark.parametrize(
    ("form", "text", "prompts"),
    [
        ("lines", " one \n\n two\r\n", [Prompt("one"), Prompt("two")]),
        (
            "jsonl",
            '{"prompt": "one", "system": "Be brief.", "id": 7}\n\n"two"\n{"question": "three", "answer": "3"}\n',
            [Prompt("one", "Be brief.", {"id": 7}), Prompt("two"), Prompt("three", "", {"answer": "3"})],
        ),
        (
            "jsonl",
            '{"id": 1, "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},'
            ' {"role": "assistant", "content": "A"}]}',
            [Prompt("U", "S", {"id": 1})],
        ),
        ("jsonl", '[{"text": "a"}, "b"]', [Prompt("a"), Prompt("b")]),
        ("jsonl", '{"prompt": "a\\u2028b"}\n', [Prompt("a\u2028b")]),
        (
            "csv",
            'id,Prompt\n1,"one, two"\n2,"a ""b""\nc"\n',
            [Prompt("one, two", "", {"id": "1"}), Prompt('a "b"\nc', "", {"id": "2"})],
        ),
        ("csv", "one\ntwo\n", [Prompt("one"), Prompt("two")]),
        ("tsv", "system\tinput\nS\tone\n", [Prompt("one", "S")]),
    ],
)
def test_forms(form: Form, text: str, prompts: list[Prompt]) -> None:
    assert parse(text, form) == prompts


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("lines", " \n", "no prompt"),
        ("jsonl", '"one"\n{"prompt": ', "Line 2 is no JSON"),
        ("jsonl", '{"prompt": "one"}\n{"answer": "x"}', "line 2"),
        ("jsonl", '{"prompt": 5}', "line 1"),
        ("jsonl", "7", "line 1"),
        ("jsonl", '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}', "2 user messages"),
        ("csv", "a,b\n1,2\n", "No column"),
        ("csv", "prompt,b\n1\n", "Row 2 has 1 fields"),
        ("csv", 'prompt\n"x" y\n', "no CSV"),
        ("csv", "prompt,id\n ,3\n", "row 2"),
    ],
)
def test_what_is_none(form: Form, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        parse(text, form)
    assert error.value.hint


def test_a_file_is_read_by_its_suffix(tmp_path: Path) -> None:
    for name, text in (("a.JSONL", '{"prompt": "x"}'), ("b.csv", "\ufeffprompt\nx"), ("c.txt", "x")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read(tmp_path / name) == [Prompt("x")]
    (tmp_path / "bad.csv").write_text("a,b\n")
    (tmp_path / "latin.txt").write_bytes(b"\xff\xfe")
    for name, said in (("none.txt", "no file"), ("bad.csv", "bad.csv: No column"), ("latin.txt", "cannot be read")):
        with pytest.raises(DataError, match=said):
            read(tmp_path / name)


def test_a_pasted_text_is_recognised_by_its_first_line() -> None:
    found = prompt_lists.recognise('id,Question\n1,"Why, then?"\n2,How?\n')
    assert (found.form, found.field, found.others) == ("csv", "question", ("id",))
    assert [each.prompt for each in found.prompts] == ["Why, then?", "How?"]
    found = prompt_lists.recognise('{"messages": [{"role": "user", "content": "Hi"}], "n": 1}\n{"prompt": "Ho"}\n')
    assert (found.form, found.field, found.others) == ("jsonl", "messages", ("n",))
    assert prompt_lists.recognise("Explain the prompt, please\nand this, too").form == "lines"
    assert prompt_lists.recognise("[1] what is that\n[2] and that").form == "lines"
    assert prompt_lists.recognise('["a", "b"]').prompts[1].prompt == "b"


def test_a_file_is_recognised_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "asked.tsv"
    path.write_text("\ufeffprompt\tlang\nHallo\tde\n", encoding="utf-8")
    found = prompt_lists.recognise_file(path)
    assert (found.form, found.field, found.others, found.prompts[0].prompt) == ("tsv", "prompt", ("lang",), "Hallo")
    path.write_text("prompt\tlang\nHallo\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"asked.tsv: Row 2"):
        prompt_lists.recognise_file(path)
