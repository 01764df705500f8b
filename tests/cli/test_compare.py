"""`playground compare`: columns from options, one JSON line with a record for each, and the log that can replay them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playground import cli
from playground.cli.compare import columns_from
from playground.params import PRESETS

from .test_cli import run

PROMPT = "Tell me a story about a fox."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def asked(*options: str) -> Any:
    return cli.parser().parse_args(["compare", "starter", "--prompt", PROMPT, *options])


def test_columns_come_from_every_option_in_order() -> None:
    columns = columns_from(
        asked(
            "--with", "temperature=0.2 top_p=0.9",
            "--with", "reply_start='Once upon' label=told seed=9 stop=.,!",
            "--sweep", "top_k 1,2",
            "--preset", "Precise",
            "--seeds", "2",
            "--max-tokens", "7", "--seed", "5", "--reply-start", "Well",
        )
    )  # fmt: skip
    assert [column.label for column in columns] == [
        "temperature=0.2 top_p=0.9", "told", "Top-k 1", "Top-k 2", "Precise", "Seed 5", "Seed 6",
    ]  # fmt: skip
    assert [column.reply_start for column in columns] == ["Well", "Once upon", *["Well"] * 5]
    assert (columns[0].settings.temperature, columns[0].settings.top_p, columns[0].settings.seed) == (0.2, 0.9, 5)
    assert (columns[1].settings.seed, columns[1].settings.stop) == (9, (".", "!"))
    assert [column.settings.top_k for column in columns[2:4]] == [1, 2]
    assert columns[4].settings.top_p == PRESETS["Precise"].top_p and columns[4].settings.seed == 5
    assert {column.settings.max_tokens for column in columns} == {7}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing to compare"),
        (("--with", "temperatur=1"), "no setting called 'temperatur'"),
        (("--with", "hot"), "not of the form"),
        (("--with", "temperature=9"), "out of range"),
        (("--with", "label='x"), "cannot be read"),
        (("--sweep", "temperature 0..1 9"), "9 columns"),
        (("--seeds", "5", "--sweep", "temperature 0..1 4"), "9 columns"),
        (("--preset", "Wild"), "no preset called 'Wild'"),
    ],
)
def test_columns_that_cannot_be(options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "starter", "--prompt", "x", *options]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert not out and line.startswith("playground: ") and said in line


def test_a_comparison_is_what_chats_would_say_and_is_on_record(home: Path) -> None:
    four = ("temperature=0", "temperature=0.7", "temperature=1.3 top_k=0", "temperature=0 reply_start=Once")
    options = [word for each in four for word in ("--with", each)]
    status, out, err = run(
        home, "compare", "starter", "--prompt", PROMPT, *options, "--seed", "3", "--max-tokens", "16", "--json"
    )
    assert status == 0, err
    (line,) = out.splitlines()
    found = json.loads(line)
    assert found["prefill_count"] == 1 and found["decode_tokens_per_s"] > 0
    sequences = found["sequences"]
    assert [each["label"] for each in sequences] == list(four)
    for each, options_of_chat in zip(sequences, (["--temperature", "0"], ["--temperature", "0.7"]), strict=False):
        status, out, err = run(
            home, "chat", "starter", "--prompt", PROMPT, *options_of_chat, "--seed", "3", "--max-tokens", "16", "--json"
        )
        alone = json.loads(out)
        assert alone["token_ids"] == each["token_ids"] and alone["text"] == each["text"]
        assert set(alone) | {"label", "column_id"} == set(each)
    assert sequences[3]["text"].startswith("Once") and sequences[3]["settings"]["seed"] == 3
    status, out, err = run(home, "log", "replay", sequences[2]["generation_id"], "--json")
    assert status == 0 and json.loads(out)["identical"], out + err
    status, out, err = run(home, "log", "show", found["session_id"], "--json")
    shown = json.loads(out)
    assert shown["session"]["kind"] == "compare" and len(shown["session"]["columns"]) == 4 and len(shown["generations"]) == 4
    status, out, err = run(home, "log", "export", sequences[0]["generation_id"])
    assert all(f"## {each}" in out and sequence["text"].strip() in out for each, sequence in zip(four, sequences, strict=True))


def test_a_set_of_prompts_goes_to_a_file_and_is_gone_on_with(home: Path, tmp_path: Path) -> None:
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "out.csv"
    prompts.write_text("".join(json.dumps({"prompt": f"Say {number}.", "id": number}) + "\n" for number in range(5)))
    options = ("--with", "temperature=0", "--with", "temperature=1 label=warm", "--max-tokens", "3", "--seed", "2")
    status, text, err = run(home, "compare", "starter", "--prompts", str(prompts), *options, "-o", str(out), "--json")
    assert status == 0, err
    found = json.loads(text)
    assert (found["done"], found["total"]) == (10, 10) and len(found["results"]) == 10
    assert [result["more"]["id"] for result in found["results"][::2]] == list(range(5))
    rows = out.read_text().splitlines()
    assert rows[0] == "index,prompt,system,id,temperature=0,warm" and rows[1].startswith("0,Say 0.,,0,")
    status, text, err = run(home, "compare", "starter", "--resume", found["session_id"])
    assert status == 0 and [json.loads(line) for line in text.splitlines()] == found["results"]


def test_a_set_that_cannot_be(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jsonl").write_text('{"answer": 1}')
    bad, column = str(tmp_path / "bad.jsonl"), ("--with", "temperature=0")
    for options, said, code in (
        (("--prompts", bad, *column), "bad.jsonl: In line 1 there is no prompt", 1),
        (("--prompts", str(tmp_path / "none.txt"), *column), "no file", 1),
        (("--prompts", bad, "--prompt", "x", *column), "not clear what to ask", 2),
        (("--prompts", bad, "-o", "x.pdf", *column), "names no form", 2),
        ((), "not clear what to ask", 2),
    ):
        assert cli.main(["compare", "starter", *options]) == code
        out, err = capsys.readouterr()
        (line,) = err.splitlines()
        assert not out and said in line


def test_memory_that_could_run_out_is_said_before(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from playground.memory.devices import HOST, Device
    from playground.session import compare_room

    monkeypatch.setenv("PLAYGROUND_HOME", str(home))
    columns = ["--with", "seed=1 max_tokens=800 stop=.", "--with", "seed=2 max_tokens=800 stop=."]
    asks = ["compare", "starter", "--prompt", PROMPT, *columns, "--json"]
    assert cli.main(asks) == 0
    assert "columns" not in capsys.readouterr().err
    monkeypatch.setattr(compare_room, "find_devices", lambda: [Device(HOST, "", 1 << 30, 1 << 20)])
    assert cli.main(asks) == 0
    said = capsys.readouterr()
    assert "The 2 columns" in said.err and "1.00 MiB are free" in said.err and json.loads(said.out)["prefill_count"] == 1
