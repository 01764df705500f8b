"""A model folder's tokenizer for training data: ids with the characters they stand for. Knows no weights and no row.

Read by `tokenizers` from tokenizer.json, which is what the model was made with, without importing transformers; a folder that has
none is read by transformers, which makes one of what there is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playground.errors import ModelFileError
from playground.training.layout import Marks


class FolderTokenizer:
    """`training.encode.Tokenizer` of a model folder, and the folder's chat template. ModelFileError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tokenizer = open_tokenizer(path)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        settings = _read(path / "tokenizer_config.json") | _read(path / "special_tokens_map.json")
        added: dict[int, Any] = self._tokenizer.get_added_tokens_decoder()
        bos, eos = _content(settings.get("bos_token")), _content(settings.get("eos_token")) or self._configured_eos()
        specials = {each.content for each in added.values() if each.special} | {bos, eos} - {""}
        self.marks = Marks(bos, eos, frozenset(specials))
        self.eos_id = self._id(eos)
        pads = (self._id(_content(settings.get("pad_token"))), self.eos_id, 0)
        self.pad_id = next(each for each in pads if each >= 0)
        self.n_vocab: int = self._tokenizer.get_vocab_size()
        self.template = _template(path, settings)
        """the chat template's source; None for a model without one"""

    def encode(self, text: str) -> tuple[Sequence[int], Sequence[tuple[int, int]]]:
        """Ids and their stretches of the text, as an engine of ours tokenizes a prompt."""
        bos = self.marks.bos
        plain = bool(bos) and text.startswith(bos)
        found = self._tokenizer.encode(text, add_special_tokens=not plain)
        ids, offsets = found.ids, found.offsets
        appended = len(ids) - 1 if not plain and ids and ids[-1] == self.eos_id and found.special_tokens_mask[-1] else len(ids)
        if appended < len(ids) and offsets[-1] == (0, 0):
            ids, offsets = ids[:appended], offsets[:appended]  # some append an end of text, which the row has of its own
        return ids, offsets

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token) if token else None
        return -1 if found is None else int(found)

    def _configured_eos(self) -> str:
        for name in ("generation_config.json", "config.json"):
            found = _read(self.path / name).get("eos_token_id")
            first = found[0] if isinstance(found, list) and found else found
            if isinstance(first, int):
                return str(self._tokenizer.id_to_token(first) or "")
        return ""


def open_tokenizer(path: Path) -> Any:
    """The tokenizer of a folder, by the library of that name. ModelFileError if it cannot be read."""
    try:
        return _opened(path)
    except Exception as error:  # whatever a damaged tokenizer raises
        said = str(error).strip().partition("\n")[0][:160]
        raise ModelFileError(
            f"The tokenizer of {path.name} cannot be read ({said}).", "Download tokenizer.json of this model again."
        ) from None


def _opened(path: Path) -> Any:
    if (path / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(path / "tokenizer.json"))
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False).backend_tokenizer


def _template(path: Path, settings: dict[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = settings.get("chat_template") or _read(path / "chat_template.json").get("chat_template")
    if isinstance(found, list):  # several by name
        named = {str(each.get("name")): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default") or next(iter(named.values()), None)
    return found if isinstance(found, str) and found else None


def _content(token: Any) -> str:
    """A token as configurations write it: a text, or a table with one."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
