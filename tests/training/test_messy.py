"""Messy files: each trains right, or names the row, the field and a fix; what a preview shows is what the collator gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playground.errors import DataError
from playground.training import json_stream
from playground.training.encode import IGNORED, collate, encode_all, encode_text
from playground.training.rows import Row, from_json, to_json
from playground.training.scan import Scan, recognised
from playground.workers.folder_tokenizer import FolderTokenizer
from tests.training.messy import CASES, PARQUET_CHATS, PARQUET_ROWS, Case, jsonl, parquet, qa


def said(row: Row) -> object:
    return [(each.role, each.content) for each in row.messages] if row.messages else row.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_messy_dataset(case: Case, tmp_path: Path, starter_tokenizer: FolderTokenizer) -> None:
    guess = recognised(case.write(tmp_path))
    assert guess.schema == case.schema
    scan = Scan(guess)
    rows = list(scan)
    assert sorted((each.kind, each.row, each.field) for each in scan.problems) == sorted(case.problems)
    for problem in scan.problems:
        assert (
            f"Row {problem.row}" in str(problem)
            and problem.field in str(problem)
            and problem.hint
            and problem.what.endswith(".")
        )
    assert len(rows) == scan.kept == case.rows
    if case.first is not None:
        assert said(rows[0]) == case.first
    trained = list(encode_all(rows, starter_tokenizer, starter_tokenizer.template))
    shown = [each for row in rows for each in encode_text(row, starter_tokenizer, starter_tokenizer.template)]
    assert [(each.ids, each.labels) for each in trained] == [(each.ids, each.labels) for each in shown]
    for each in shown:
        batch = collate([each], starter_tokenizer.pad_id)
        assert tuple(batch["input_ids"][0]) == each.ids and tuple(batch["labels"][0]) == each.labels
        assert set(each.labels[1:]) - {IGNORED} and len(each.pieces) == len(each.ids)


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for rows, schema in ((PARQUET_ROWS, "answers"), (PARQUET_CHATS, "chat")):
        file = tmp_path / f"{schema}.parquet"
        file.write_bytes(parquet(rows)())
        scan = Scan(recognised(file))
        assert scan.guess.schema == schema and len(list(scan)) == 2 and not scan.problems
    file.write_bytes(b"PAR1" + b"x" * 50)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        recognised(file)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"\xef\xbb\xbf \r\n\n", "is empty"),
        ("a.csv", b"", "is empty"),
        ("a.parquet", b"question,answer\n", "is no Parquet file"),
        ("a.jsonl", b"\x7fELF\0\0\1\2", "is no text file"),
        ("a.jsonl", b"PK\x03\x04\x14\0\0\0", "is a packed file"),
        ("a.pkl", b"\x80\x04\x95" + bytes(9) + b".", "is no text file"),
    ],
)
def test_what_is_no_data_is_told_in_a_sentence(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as refused:
        recognised(tmp_path / name)
    assert refused.value.hint
    with pytest.raises(DataError, match="no file or folder"):
        recognised(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no data file"):
        recognised(tmp_path / "empty")


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[]")
    found = recognised(tmp_path / "a.json")
    assert list(Scan(found)) == [] and not found.columns, "and no conversation either"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_text_without_its_mark_is_read(tmp_path: Path, encoding: str) -> None:
    rows = [[("user", "Wie geht’s?"), ("assistant", "Gut – danke")], [("user", "Was?"), ("assistant", "Nichts davon")]]
    table = "question,answer\r\n" + "".join(f"{row[0][1]},{row[1][1]}\r\n" for row in rows)
    (tmp_path / "a.csv").write_bytes(table.encode(encoding))
    lines = "".join(json.dumps({"q": row[0][1], "a": row[1][1]}, ensure_ascii=False) + "\r\n" for row in rows)
    (tmp_path / "a.jsonl").write_bytes(lines.encode(encoding))
    for name in ("a.csv", "a.jsonl"):
        assert [said(row) for row in Scan(recognised(tmp_path / name))] == rows


def test_columns_are_known_in_other_languages_and_deep_ones_stay_whole(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"回答": "世界很大", "问题": "你好吗？"}, ensure_ascii=False), encoding="utf-8"
    )
    found = recognised(tmp_path / "a.jsonl")
    assert [said(row) for row in Scan(found)] == [[("user", "你好吗？"), ("assistant", "世界很大")]]
    (tmp_path / "b.jsonl").write_text('{"a":' * 900 + '"deep down"' + "}" * 900)
    assert max(map(len, recognised(tmp_path / "b.jsonl").columns)) < 100


def test_a_guess_can_be_corrected(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x;y;z\nHow are you today, my friend?;Hi;0\n")
    from dataclasses import replace

    guess = recognised(tmp_path / "a.csv")
    turned = replace(guess, schema="answers", names={"question": "y", "answer": "x"})
    assert [said(row) for row in Scan(turned)] == [[("user", "Hi"), ("assistant", "How are you today, my friend?")]]
    with_commas = recognised(tmp_path / "a.csv", delimiter=",", header=False)
    assert with_commas.columns[0] == "column 1" and type(guess).from_dict(json.loads(json.dumps(guess.to_dict()))) == guess


def test_fixes_and_edits(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(qa(1), qa(2, ""), qa(1)) + b'{"question": "caf\xe9?", "answer": "yes"}\n')
    guess = recognised(tmp_path / "a.jsonl")
    edited = {"messages": [{"role": "user", "content": "2?"}, {"role": "assistant", "content": "Two."}]}
    scan = Scan(guess, {"duplicate": "keep", "encoding": "trim"}, {2: edited})
    rows = list(scan)
    assert [row.number for row in rows] == [1, 2, 3, 4] and said(rows[1]) == [("user", "2?"), ("assistant", "Two.")]
    assert rows[3].messages[0].content == "caf\ufffd?"
    assert scan.counts == {"duplicate": 1, "encoding": 1}
    with pytest.raises(DataError, match="cannot be mended"):
        Scan(guess, {"empty answer": "keep"})


def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of file, 3 MB of it: what is held at once stays far below that (rows are counted, not kept)."""
    import tracemalloc

    monkeypatch.setattr(json_stream, "CHUNK", 1 << 14)

    answer = "longer words" * 200
    lines = [json.dumps({"question": f"q{number}", "answer": f"{number} {answer}"}) for number in range(1250)]
    files = {
        "a.jsonl": "\n".join(lines),
        "a.json": "[" + ",\n".join(lines) + "]",
        "a.csv": "question,answer\n" + "\n".join(f'q{number},"{number} {answer}"' for number in range(1250)),
        "a.txt": "\n\n".join(f"{number} {answer}" for number in range(1250)),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    lines.clear()
    files.clear()
    for name in ("a.jsonl", "a.json", "a.csv", "a.txt"):
        guess = recognised(tmp_path / name)
        tracemalloc.start()
        count = sum(1 for _ in Scan(guess))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 1250 if name != "a.txt" else count > 250
        assert peak < 3 << 19


SUFFIXES = [".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", ".data"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "assistant", "gpt", "human"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "from",
                    "value",
                    "messages",
                    "conversations",
                    "prompt",
                    "answer",
                    "text",
                    "chosen",
                    "rejected",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def gone_through(file: Path) -> None:
    """Rows that can be learned from and problems with a place, or one sentence; nothing else may happen."""
    try:
        scan = Scan(recognised(file))
        rows = list(scan)
    except DataError as error:
        sentence = str(error)
        assert sentence
        return
    assert all(row.answers or row.text for row in rows) and all(each.row > 0 and str(each) for each in scan.problems)
    assert all(from_json(to_json(row)) == row for row in rows)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(
    st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(SUFFIXES),
)
def test_any_bytes_are_rows_or_problems(tmp_path: Path, data: bytes, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(data)
    gone_through(tmp_path / f"a{suffix}")


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.lists(VALUES, max_size=5), st.booleans())
def test_any_json_is_rows_or_problems(tmp_path: Path, values: list[object], lines: bool) -> None:
    text = "\n".join(map(json.dumps, values)) if lines else json.dumps(values)
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    gone_through(tmp_path / "a.json")
