"""How many of so many strings each tokenizer family cuts otherwise in llama.cpp: `python -m tests.conversion.tokenizer_report [COUNT]`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gguf
from tokenizers import Tokenizer

from playground.conversion.config import Config
from playground.conversion.hyperparameters import Header
from playground.conversion.tokenizer import write_tokenizer
from tests.conversion import tokenizers_made as made


@dataclass(frozen=True)
class Family:
    """A tokenizer to make. `noted`: words of the notes there must be; `unfair`: strings that the notes are about."""

    make: Callable[[Path], Tokenizer]
    noted: tuple[str, ...] = ()
    unfair: str = ""


_MARKS = "[\u0300-\u036f\u0900-\u0970\u0e00-\u0e7f\ufe0f\u20e3]"
_MIXED_CASE = "[\u0100-\u017f\u00a1-\u00ff\u0400-\u045f]"
_SPECIAL = "<\\|begin|<\\|end|<\\|im_|<tool>|<s>"

FAMILIES: dict[str, Family] = {
    **{name: Family(partial(made.byte_level, family=name)) for name in made.BYTE_LEVEL if name not in ("gpt-4o", "tekken")},
    "gpt-4o": Family(partial(made.byte_level, family="gpt-4o"), ("Latin script",), _MIXED_CASE),
    "tekken": Family(partial(made.byte_level, family="tekken"), ("combining marks",), f"{_MARKS}|{_MIXED_CASE}"),
    "llama-2": Family(partial(made.sentencepiece_bpe, layout="llama2")),
    "mistral": Family(partial(made.sentencepiece_bpe, layout="mistral"), ("puts a space",), f"{_SPECIAL}|^ "),
    "gemma": Family(partial(made.sentencepiece_bpe, layout="gemma")),
    "llama-2, trained": Family(partial(made.sentencepiece_bpe, layout="llama2", closed=False), ("merges are fewer",)),
    "unigram": Family(made.unigram, ("equally likely",), r"([^\w\s])\1\1"),
}


def fair(family: Family, strings: Sequence[str]) -> list[str]:
    """The strings that must come out the same."""
    return [text for text in strings if not (family.unfair and re.search(family.unfair, text))]


def vocabulary_file(folder: Path, target: Path, rows: int) -> list[str]:
    """Writes a GGUF file of the tokenizer alone; gives back the notes."""
    writer = gguf.GGUFWriter(None, "llama")
    writer.add_name(folder.name)
    header = Header(writer)
    write_tokenizer(header, folder, Config({}), rows)
    writer.write_header_to_file(target)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return header.notes


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    chosen = sys.argv[2:] or list(FAMILIES)
    strings = made.strings(count, 1, (*made.SPECIAL, "<tool>"))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        tokenizers = {name: FAMILIES[name].make(root / name) for name in chosen}
        notes = {
            name: vocabulary_file(root / name, root / f"{name}.gguf", each.get_vocab_size() + 7)
            for name, each in tokenizers.items()
        }
        jobs = [{"model": str(root / f"{name}.gguf"), "texts": strings, "out": str(root / f"{name}.json")} for name in chosen]
        (root / "jobs.json").write_text(json.dumps(jobs))
        subprocess.run(
            [sys.executable, "-m", "tests.conversion.asked", str(root / "jobs.json")], check=True, capture_output=True
        )
        for name, tokenizer in tokenizers.items():
            mine = json.loads((root / f"{name}.json").read_text())["special"]
            theirs = [each.ids for each in tokenizer.encode_batch(strings, add_special_tokens=True)]
            other = {text for text, one, two in zip(strings, mine, theirs, strict=True) if one != two}
            hard = fair(FAMILIES[name], strings)
            print(
                f"{name:18s} {len(other):5d} of {count} differ, {len(other & set(hard))} of the {len(hard)} that no note is about"
            )
            for note in notes[name]:
                print(f"{'':18s} note: {note}")


if __name__ == "__main__":
    main()
