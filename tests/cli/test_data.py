"""`playground data` as a script sees it."""

from __future__ import annotations

import json
from pathlib import Path

from playground.paths import resources

from .test_cli import run


def test_look_import_list_remove(tmp_path: Path) -> None:
    home, example = tmp_path / "home", str(resources() / "examples" / "persona.jsonl")
    code, out, said = run(home, "data", "look", example, "--model", "starter", "--json")
    assert code == 0, said
    found = json.loads(out)
    assert found["guess"]["schema"] == "chat" and found["kept"] == 60 and not found["problems"]
    first = found["tokens"]["rows"][0]
    assert any(label >= 0 for label in first["labels"]) and "Ahoy" in "".join(first["pieces"])
    table = tmp_path / "t.csv"
    table.write_text("a,b,c\nHello to you,Hi you,x y\nBye to you,,x y\n", encoding="utf-8")
    options = ("--column", "question=b", "--column", "answer=a", "--name", "mine")
    code, out, said = run(home, "data", "import", str(table), *options, "--json")
    assert code == 0 and json.loads(out)["rows"] == 1 and json.loads(out)["counts"] == {"no question": 1}, said
    code, out, _ = run(home, "data", "list")
    assert code == 0 and out.startswith("mine@")
    code, out, _ = run(home, "data", "remove", "mine")
    assert code == 0 and not list((home / "datasets").iterdir())


def test_what_goes_wrong_is_a_sentence(tmp_path: Path) -> None:
    code, _, said = run(tmp_path / "home", "data", "look", str(tmp_path / "nothing"))
    assert code == 1 and "no file or folder" in said
    (tmp_path / "a.csv").write_text("a,b\nx y,z z\n", encoding="utf-8")
    code, _, said = run(tmp_path / "home", "data", "look", str(tmp_path / "a.csv"), "--column", "answer=q")
    assert code == 2 and "no column 'q'" in said and "a, b" in said
