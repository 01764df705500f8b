"""What of an adapter or a model goes to the hub, and what never does: decided here by the files' names, before anything is sent.

Only what is known to belong to a model is let through. Data, checkpoints, optimizer states, pickles and whatever is not known stay here,
and a folder with a secret in its texts is refused whole. Knows no network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playground.errors import DataError, ModelFileError, NotFoundError
from playground.training import sensitive

CARD, ADAPTER, MODEL = "README.md", "adapter_config.json", "config.json"
TOKENIZER = {
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json",
}  # fmt: skip
KNOWN: dict[str, set[str]] = {
    "adapter": TOKENIZER | {CARD, ADAPTER, "adapter_model.safetensors"},
    "model": TOKENIZER
    | {CARD, MODEL, "generation_config.json", "model.safetensors", "model.safetensors.index.json", "preprocessor_config.json"},
}
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_LEGAL = re.compile(r"(LICEN[CS]E|NOTICE|USE_POLICY)(\.(md|txt))?", re.IGNORECASE)
_WHY: tuple[tuple[str, str], ...] = (
    (r".*\.(jsonl|ndjson|csv|tsv|tab|parquet|arrow|txt|md)", "data"),
    (r"(optimizer|scheduler|rng_state|scaler|trainer_state|training_args|weights|state).*", "a checkpoint's"),
    (r".*\.(bin|pt|pth|pkl|ckpt)", "a pickle, which can run code"),
    (r"\..*", "hidden"),
)
_LOCAL = re.compile(r"(?:/(?:home|Users|root)/|[A-Za-z]:[\\/]+Users[\\/])[^\s\"'`)]*")
MOST = 1 << 20
"""bytes of a text that are looked at for secrets"""


@dataclass(frozen=True)
class Parcel:
    """What would be sent. `files`: (name, bytes), `held_back`: (name, why), `card`: README.md as it would stand there.

    `base`: what the model calls the one that it was made from; `notes`: sentences that whoever sends it should have read.
    """

    path: str
    kind: Literal["adapter", "model", "file"]
    files: tuple[tuple[str, int], ...]
    held_back: tuple[tuple[str, str], ...]
    card: str
    base: str = ""
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.files)


def parcel(path: Path, base: str = "", card: str | None = None) -> Parcel:
    """What of an adapter's or a model's folder, or of one GGUF file, would be sent.

    `base`: the hub's name of the model that it was made from, in place of the one that it notes; `card`: another README.md.
    ModelFileError for what is neither, DataError for a run, a checkpoint or a dataset, and where a text holds a secret.
    """
    if path.is_file() and path.suffix.lower() == ".gguf":
        return _of_file(path, card)
    kind = _kind(path)
    config = _json(path / ADAPTER) if kind == "adapter" else {}
    old = str(config.get("base_model_name_or_path") or "")
    new = base or (old if is_name(old) else Path(old).name)
    texts = {CARD: _card(path, card)}
    if kind == "adapter" and old != new:
        config["base_model_name_or_path"] = new
        texts[ADAPTER] = json.dumps(config, indent=2, ensure_ascii=False)
        texts[CARD] = texts[CARD].replace(old, new) if old else texts[CARD]
    if base:
        texts[CARD] = _with_base(texts[CARD], base)
    names = {each.name: each for each in sorted(path.iterdir())}
    wanted = [name for name, each in names.items() if _belongs(kind, name) and each.is_file()]
    if not any(name.endswith(".safetensors") for name in wanted):
        raise ModelFileError(f"{path.name} has no weights in safetensors.", "Choose another folder: pickles are not published.")
    read = {name: texts[name] if name in texts else _read(names[name]) for name in {*wanted, *texts}}
    for name, text in read.items():
        _check(name, text)
    files = {name: names[name].stat().st_size for name in wanted} | {name: len(text.encode()) for name, text in texts.items()}
    held = tuple((name, _reason(each)) for name, each in names.items() if name not in files)
    return Parcel(str(path), kind, tuple(sorted(files.items())), held, texts[CARD], new, tuple(_notes(kind, old, new, read)))


def contents(made: Parcel) -> Iterator[tuple[str, Path | bytes]]:
    """Each file's name with where it lies, or with what is sent in its place."""
    path = Path(made.path)
    for name, _ in made.files:
        if name == CARD:
            yield name, made.card.encode()
        elif name == ADAPTER:
            config = _json(path / name)
            same = str(config.get("base_model_name_or_path") or "") == made.base
            config["base_model_name_or_path"] = made.base
            yield name, path / name if same else json.dumps(config, indent=2, ensure_ascii=False).encode()
        else:
            yield name, path if made.kind == "file" else path / name


def is_name(text: str) -> bool:
    """Whether a text is a name on the hub, `owner/name`, and no place on a disk."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", text) is not None


# -- what a place is


def _kind(path: Path) -> Literal["adapter", "model"]:
    if not path.exists():
        raise NotFoundError(f"There is no file or folder {path}.", "Check its name.")
    if not path.is_dir():
        raise ModelFileError(f"{path.name} is no model.", "Name an adapter's or a model's folder, or a GGUF file.")
    if (path / "events.jsonl").exists() or (path / "checkpoints").is_dir():
        raise DataError(
            f"{path.name} is a run's folder, with the data that it was trained on: it is not published.",
            "Publish its result, which lies among the adapters.",
        )
    if (path / "state.json").exists() and (path / "optimizer.safetensors").exists():
        raise DataError(f"{path.name} is a checkpoint: it is not published.", "Let the run end, and publish its result.")
    if (path / "data.jsonl").exists() and (path / "meta.json").exists():
        raise DataError(f"{path} is a dataset: personal data never leaves its folder.", "Publish a model or an adapter.")
    if (path / ADAPTER).exists():
        return "adapter"
    if (path / MODEL).exists():
        return "model"
    raise ModelFileError(f"{path.name} is neither a model nor an adapter.", f"Its folder has a {MODEL} or a {ADAPTER}.")


def _of_file(path: Path, card: str | None) -> Parcel:
    text = card if card is not None else _new_card(path.stem, "gguf")
    _check(CARD, text)
    return Parcel(str(path), "file", ((CARD, len(text.encode())), (path.name, path.stat().st_size)), (), text)


def _belongs(kind: str, name: str) -> bool:
    return name in KNOWN[kind] or bool(_LEGAL.fullmatch(name)) or (kind == "model" and bool(_SHARD.fullmatch(name)))


def _reason(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return next((why for pattern, why in _WHY if re.fullmatch(pattern, path.name)), "not known as a part of a model")


# -- texts


def _card(path: Path, card: str | None) -> str:
    if card is not None:
        return card
    try:
        return (path / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _new_card(path.name, "peft" if (path / ADAPTER).exists() else "transformers")


def _new_card(name: str, library: str) -> str:
    return f"---\nlibrary_name: {library}\npipeline_tag: text-generation\ntags:\n- playground\n---\n\n# {name}\n"


def _with_base(card: str, base: str) -> str:
    """The card with the base model in its head, by which the hub links the two."""
    if not card.startswith("---\n"):
        return f"---\nbase_model: {base}\n---\n\n{card}"
    head, _, rest = card[4:].partition("\n---")
    lines = [line for line in head.splitlines() if not line.startswith("base_model:")]
    return "\n".join(["---", f"base_model: {base}", *lines]) + "\n---" + rest


def _read(path: Path) -> str:
    """A text file's begin; nothing of the others, which are weights."""
    if path.suffix == ".safetensors" or path.name in (
        "tokenizer.json",
        "tokenizer.model",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
    ):
        return ""
    with path.open("rb") as file:
        return file.read(MOST).decode("utf-8", "replace")


def _check(name: str, text: str) -> None:
    for kind, what in sensitive.find(text):
        if kind == "secret":
            raise DataError(f"{name} is not published: {what}", "Take it out of the file first.")


def _notes(kind: str, old: str, new: str, texts: dict[str, str]) -> Iterator[str]:
    if old != new and old:
        yield f"{ADAPTER} and the card name its model by a place on this computer: '{new}' is written there in its stead."
    if kind == "adapter" and not is_name(new):
        yield "Others need the model's name on the hub to use this adapter: name it as OWNER/NAME (--base)."
    for name, text in texts.items():
        if place := _LOCAL.search(text):
            yield f"{name} names a place on this computer: {place[0]}"
        for found, what in sensitive.find(text):
            if found == "e-mail address":
                yield f"{name} is sent with the rest: {what}"


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} is damaged ({error}).", "Make the adapter again.") from None
    if not isinstance(found, dict):
        raise ModelFileError(f"{path} is damaged.", "Make the adapter again.")
    return found
