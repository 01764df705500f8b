"""A model folder's tokenizer in a GGUF file's keys: tokens and their types, merges or scores, special ids, chat template.

llama.cpp's tokenizers are told apart by structure: byte-level BPE here, SentencePiece's kinds in `sentencepiece`. Where its result differs
from the Hugging Face tokenizer's, the report has a note; where it would be something else, the model is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from . import merges, pre_tokenizers, sentencepiece
from .card import settle_name
from .config import Config, read_json
from .hyperparameters import Header
from .vocabulary import Vocabulary

_NFC = (
    "The Hugging Face tokenizer brings text into Unicode's composed form (NFC) first, llama.cpp does not: "
    "decomposed accents are cut otherwise."
)
_GENERATION = re.compile(r"\{%(-?)\s*(end)?generation\s*(-?)%\}")


@dataclass
class Settings:
    """What lies around the tokenizer's own file."""

    folder: Path
    config: Config
    own: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)


def write_tokenizer(header: Header, folder: Path, config: Config, rows: int) -> None:
    """Writes the tokenizer of a folder for a token table of so many rows. Raises ModelFileError."""
    settings = Settings(
        folder, config, read_json(folder / "tokenizer_config.json") or {}, read_json(folder / "generation_config.json") or {}
    )
    data = read_json(folder / "tokenizer.json")
    if data is not None:
        vocabulary = _from_json(header, settings, data)
    elif (folder / "tokenizer.model").exists():
        vocabulary = sentencepiece.from_model_file(header, folder, settings.own)
    else:
        raise ModelFileError(f"{folder.name} has no tokenizer.", "Download tokenizer.json of the model as well.")
    vocabulary.note_flags(header.notes, strips=not settle_name(header, vocabulary))
    _write_vocabulary(header, vocabulary, rows)
    _write_special(header, settings, vocabulary, data)
    _write_template(header, settings)


def _from_json(header: Header, settings: Settings, data: dict[str, Any]) -> Vocabulary:
    model = data.get("model")
    if not isinstance(model, dict) or not model.get("vocab"):
        raise ModelFileError("tokenizer.json is damaged: it has no vocabulary.", "Download the model again.")
    kind = model.get("type") or ("Unigram" if isinstance(model.get("vocab"), list) else "BPE" if "merges" in model else "")
    if kind == "BPE" and pre_tokenizers.is_byte_level(data):
        return _byte_level(header, settings, data, model)
    if kind == "BPE":
        return sentencepiece.from_bpe(header, data, model)
    if kind == "Unigram":
        return sentencepiece.from_unigram(header, data, model)
    raise ModelFileError(
        f"The tokenizer is of the kind {str(kind)[:40] or 'unknown'}, which cannot be converted.",
        "Use the folder with the transformers engine.",
    )


def _byte_level(header: Header, settings: Settings, data: dict[str, Any], model: dict[str, Any]) -> Vocabulary:
    name, takes_words = pre_tokenizers.recognised(data)
    normalizer = data.get("normalizer")
    steps = normalizer.get("normalizers", [normalizer]) if isinstance(normalizer, dict) else []
    kinds = [str(step.get("type")) for step in steps]
    if set(kinds) - {"NFC"}:
        raise ModelFileError(
            f"The tokenizer changes text before it cuts it ({', '.join(kinds)[:60]}), which llama.cpp does not.",
            "Use the folder with the transformers engine.",
        )
    if kinds or str(settings.own.get("tokenizer_class", "")).startswith(
        "Qwen2"
    ):  # its class in transformers composes in any case
        header.notes.append(_NFC)
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix") or model.get("byte_fallback"):
        raise ModelFileError(
            "The tokenizer marks parts of words in a way that llama.cpp does not know.",
            "Use the folder with the transformers engine.",
        )
    pairs = merges.pairs(model)
    if takes_words != bool(model.get("ignore_merges")) and merges.unreachable(model["vocab"], pairs):
        raise ModelFileError(
            "The tokenizer has words that its merges do not lead to, and llama.cpp has no tokenizer that cuts so.",
            "Use the folder with the transformers engine.",
        )
    if name in pre_tokenizers.INEXACT:
        header.notes.append(pre_tokenizers.INEXACT[name])
    vocabulary = Vocabulary.of(model["vocab"], data.get("added_tokens") or [])
    header.writer.add_tokenizer_model("gpt2")
    header.writer.add_tokenizer_pre(name)
    header.writer.add_token_merges(merges.spelled(pairs) or ["a b"])  # a list there must be
    header.writer.add_add_space_prefix(False)
    return vocabulary


def _write_vocabulary(header: Header, vocabulary: Vocabulary, rows: int) -> None:
    texts, types = vocabulary.padded(rows)
    header.writer.add_token_list(texts)
    if vocabulary.scores is not None:
        scores = vocabulary.scores
        header.writer.add_token_scores([scores.get(number, -10000.0) for number in range(rows)])
    header.writer.add_token_types(types)


def _write_special(header: Header, settings: Settings, vocabulary: Vocabulary, data: dict[str, Any] | None) -> None:
    """bos, eos and the like: the tokenizer's settings first, then the model's; further ends of text as end of turn and of message."""
    ids: dict[str, int] = {}
    for name in ("bos", "eos", "unk", "sep", "pad", "mask"):
        found = _token_id(settings.own.get(f"{name}_token"), vocabulary)
        for values in (settings.config.values, settings.generation):
            given = values.get(f"{name}_token_id")
            given = given[0] if isinstance(given, list) and given else given
            if found is None and isinstance(given, int) and 0 <= given < len(vocabulary):
                found = given
        if found is not None:
            ids[name] = found
            getattr(header.writer, f"add_{name}_token_id")(found)
    ends: list[int] = []
    for values in (settings.generation, settings.config.values):
        given = values.get("eos_token_id")
        ends += [each for each in (given if isinstance(given, list) else [given]) if isinstance(each, int)]
    further = [each for each in dict.fromkeys(ends) if each != ids.get("eos") and 0 <= each < len(vocabulary)]
    for name, number in zip(("eot", "eom"), further, strict=False):
        getattr(header.writer, f"add_{name}_token_id")(number)
    first, last = _added(settings, vocabulary, data, ids)
    header.writer.add_add_bos_token(first)
    header.writer.add_add_eos_token(last)
    if data is not None and not _is_plain(data, ids, vocabulary):
        header.notes.append("The Hugging Face tokenizer puts further special tokens around a text; llama.cpp does not.")


def _added(settings: Settings, vocabulary: Vocabulary, data: dict[str, Any] | None, ids: dict[str, int]) -> tuple[bool, bool]:
    """Whether a text gets a bos in front and an eos behind."""
    template = _template_of(data)
    if template is None:
        return bool(settings.own.get("add_bos_token", data is None)) and "bos" in ids, bool(
            settings.own.get("add_eos_token")
        ) and "eos" in ids
    numbers = [_token_id(each["SpecialToken"].get("id"), vocabulary) if "SpecialToken" in each else None for each in template]
    return (
        bool(numbers) and numbers[0] is not None and numbers[0] == ids.get("bos"),
        bool(numbers) and numbers[-1] is not None and numbers[-1] == ids.get("eos") and len(numbers) > 1,
    )


def _template_of(data: dict[str, Any] | None) -> list[dict[str, Any]] | None:
    """The pieces that a single text is put between, None if the tokenizer does not say."""
    processor = (data or {}).get("post_processor")
    if not isinstance(processor, dict):
        return None
    for each in processor.get("processors", [processor]):
        if each.get("type") == "TemplateProcessing" and isinstance(each.get("single"), list):
            return [piece for piece in each["single"] if isinstance(piece, dict)]
    return None


def _is_plain(data: dict[str, Any], ids: dict[str, int], vocabulary: Vocabulary) -> bool:
    template = _template_of(data)
    if template is None:
        return True
    numbers = [_token_id(each["SpecialToken"].get("id"), vocabulary) if "SpecialToken" in each else -1 for each in template]
    place = numbers.index(-1) if -1 in numbers else 0
    return numbers[:place] in ([], [ids.get("bos")]) and numbers[place + 1 :] in ([], [ids.get("eos")])


def _token_id(token: Any, vocabulary: Vocabulary) -> int | None:
    text = token.get("content") if isinstance(token, dict) else token
    return vocabulary.id_of(text) if isinstance(text, str) else None


def _write_template(header: Header, settings: Settings) -> None:
    """The chat template; the file of its own goes before the one in the settings, as in transformers."""
    template: Any = settings.own.get("chat_template")
    file = settings.folder / "chat_template.jinja"
    if file.exists():
        try:
            template = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            header.notes.append("The chat template (chat_template.jinja) could not be read and was left out.")
            return
    if isinstance(template, list):
        named = [each for each in template if isinstance(each, dict) and isinstance(each.get("template"), str)]
        template = [{"name": str(each.get("name", "default")), "template": _plain(each["template"])} for each in named] or None
    elif isinstance(template, str):
        template = _plain(template)
    if template:
        header.writer.add_chat_template(template)


def _plain(template: str) -> str:
    """Without the marks around a reply that only transformers knows, in training; `if true` keeps the white space as it was."""

    def replaced(found: re.Match[str]) -> str:
        return f"{{%{found[1]} {'endif' if found[2] else 'if true'} {found[3]}%}}"

    return _GENERATION.sub(replaced, template)
