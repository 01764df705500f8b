"""The general keys of a GGUF file: name, licence, languages, tags, base model, author, as the model's card and folder have them."""

from __future__ import annotations

import re
from pathlib import Path

import gguf

from .config import Config
from .hyperparameters import Header
from .vocabulary import Vocabulary

_PHI_KEEP = ("<unk>", "<s>", "<|endoftext|>")
"""Phi-3's special tokens that leave the spaces after them alone"""

_CACHE = re.compile(r"^models--(.+?)--(.+)$")


def write_card(header: Header, folder: Path, config: Config, parameters: int) -> None:
    """Writes what is known. A card that cannot be read is worth a note, not an end."""
    try:
        found = gguf.Metadata.load(model_path=folder, total_params=parameters)
    except Exception as error:  # YAML written by people, read by another library: whatever it raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        header.notes.append(f"The model card (README.md) could not be read and was left out ({reason[:80]}).")
        found = gguf.Metadata()
    # The library takes the folder's name where there is no card: right but for the hash that the hub's cache has there.
    cached = _CACHE.match(folder.parent.parent.name) if folder.parent.name == "snapshots" else None
    if cached:
        found.organization = found.organization or cached[1]
        found.name = cached[2] if found.name in (None, folder.name) or _is_hash(str(found.name)) else found.name
        found.basename = None if _is_hash(str(found.basename)) else found.basename
    found.name = found.name or folder.name
    if found.size_label is None or not re.search(r"\d", found.size_label):
        found.size_label = gguf.size_label(parameters, parameters, 0, 0)
    header.writer.add_type(gguf.GGUFType.MODEL)
    try:
        found.set_gguf_meta_model(header.writer)
    except Exception as error:
        header.notes.append(f"Some of the model card (README.md) was left out ({str(error)[:80]}).")


def settle_name(header: Header, vocabulary: Vocabulary) -> bool:
    """Gives a model the name that makes llama.cpp treat the spaces after its special tokens as the tokenizer does; whether there is one.

    llama.cpp takes the strip flags of Phi-3's tokens from the words "phi-3" or "phi3" in a model's name, and fails without these tokens.
    """
    name = header.writer.kv_data[0][gguf.Keys.General.NAME]
    flags = {token["content"]: bool(token.get("rstrip")) for token in vocabulary.added}
    is_phi = {"</s>", *_PHI_KEEP} <= set(flags) and all(flags[text] != (text in _PHI_KEEP) for text in flags)
    is_named = re.search(r"phi-?3", name.value, re.IGNORECASE) is not None
    if is_phi and not is_named:
        name.value += " (Phi-3)"
    elif is_named and not is_phi:
        name.value = re.sub(r"(phi)-?3", r"\1 3", name.value, flags=re.IGNORECASE)
    return is_phi


def _is_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F ]{30,}", text) is not None
