"""A quality report as a chain of steps: what has to be made first, then the original, then each model, each in a worker of its own.

What was measured before, of the same weights on the same text, is not measured again. Runs nothing itself, and knows no worker's insides.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from playground.errors import PlaygroundError, SettingError
from playground.models.gguf_header import ArrayRef, open_gguf, split_names
from playground.paths import Home, starter
from playground.protocol import MeasureQuality, QualityRow
from playground.session import starter_texts
from playground.session import workshop_chain as chains
from playground.session import workshop_files as files
from playground.session.ledger import Ledger
from playground.session.workshop_chain import Chain
from playground.session.workshop_jobs import AUTO, FOLDER_TYPES, QuantizeRequest
from playground.session.workshop_steps import REQUEST, Step

TYPES = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""what a report compares where nobody names anything"""
ROOM = 4 << 30
"""bytes that the disk keeps free beside the original's logits; with less, models are measured beside the original instead"""
PATIENCE_S = 10.0


@dataclass(frozen=True)
class ReportRequest:
    """Models, and types to be made of the original, against that original."""

    original: str
    models: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    text: str = ""
    """a text file; empty for the one that came with the program"""
    context: int = 512
    chunks: int = 0
    """at most this many windows; 0 for the whole text"""
    imatrix: str = ""
    """for the types: a file, `auto` for one computed from `calibration`, empty for none"""
    calibration: str = ""
    keep: bool = False
    """keep what is made, in the data folder"""
    again: bool = False
    """measure even what was measured before"""


class Memory(Protocol):
    """What remembers measurements."""

    def sha256(self, path: Path) -> str:
        """Of a model's file or folder."""

    def find(self, original: str, text: str, context: int, chunks: int) -> dict[str, QualityRow]: ...

    def keep(self, original: str, model: str, text: str, context: int, chunks: int, row: QualityRow) -> None: ...


@dataclass
class Measured:
    """The rows of a report while they come in: in the order that was asked for, under the names that models will be known by."""

    order: tuple[str, ...]
    """paths, the original's first"""
    names: dict[str, str] = field(default_factory=dict)
    """path while measuring -> path to show"""
    found: dict[str, QualityRow] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """path -> what the memory knows the model by"""
    memory: Memory | None = None
    question: tuple[str, str, int, int] = ("", "", 0, 0)
    """original, text, context, chunks"""

    @property
    def rows(self) -> tuple[QualityRow, ...]:
        return tuple(self.found[path] for path in self.order if path in self.found)

    def add(self, row: QualityRow) -> tuple[QualityRow, ...]:
        """All rows, with one more."""
        path = self.names.get(row.path, row.path)
        row = replace(row, path=path)
        self.found[path] = row
        if self.memory is not None:
            original, text, context, chunks = self.question
            self.memory.keep(original, self.keys[path], text, context, chunks, row)
        return self.rows


def report(home: Home, request: ReportRequest, work: Path, memory: Memory | None = None) -> Chain:
    """SettingError, NotFoundError, ModelFileError for what cannot be done."""
    original = files.there(request.original)
    text, special = text_for(original, request.text)
    chain = _Chain(home, request, work, original)
    for name in request.models:
        chain.model(files.there(name))
    for kind in request.types or (() if request.models else TYPES):
        chain.type(kind)
    measured = Measured(tuple(chain.order))
    if memory is not None:
        _recall(measured, chain, request, text, special, memory)
    return chain.whole(measured, text, special)


class _Model:
    """A model to measure: where it lies while it is measured, and the steps that put it there."""

    def __init__(self, path: Path, shown: str, steps: Sequence[Step] = (), size: int = 0, made: str = "") -> None:
        self.path, self.shown, self.steps, self.size, self.made = path, shown, tuple(steps), size, made


class _Chain:
    """A report's chain while it is put together."""

    def __init__(self, home: Home, request: ReportRequest, work: Path, original: Path) -> None:
        self._home, self._request, self._work = home, request, work
        self.original = original
        self.models: list[_Model] = []
        self._notes: list[str] = []
        self._measured_as = original

    @property
    def order(self) -> list[str]:
        return [str(self.original), *(each.shown for each in self.models)]

    def model(self, path: Path) -> None:
        if str(path) not in self.order:
            self.models.append(_Model(path, str(path)))

    def type(self, kind: str) -> None:
        """A quantization to be made of the original."""
        request = self._request
        ending = "" if kind.lower() in FOLDER_TYPES else ".gguf"
        label = f"{files.short_name(str(self.original))}-{files.spelled(kind)}{ending}"
        target = files.free_name(self._home.models / label) if request.keep else self._work / label
        wanted = QuantizeRequest(
            str(self.original),
            kind,
            str(target),
            imatrix=request.imatrix,
            calibration=request.calibration,
            allow_requantize=True,
        )
        chain = chains.quantize(self._home, wanted, self._work)
        self._notes += [each for each in chain.notes if each not in self._notes]
        made = f"{files.spelled(kind)}:{_matrix_key(request)}"
        shown = str(target) if request.keep else label
        if shown not in self.order:
            self.models.append(_Model(target, shown, chain.steps, chain.disk[-1][1], made))

    def whole(self, measured: Measured, text: Path, special: bool) -> Chain:
        request = self._request
        todo = [each for each in self.models if each.shown not in measured.found]
        if not todo and str(self.original) in measured.found:
            return Chain((), notes=tuple(self._notes), measured=measured)
        steps: list[Step] = []
        disk: list[tuple[Path, int]] = [(Path(each.path).parent, each.size) for each in todo if each.size]
        original = self._original(steps, disk)
        measured.names[str(original)] = str(self.original)
        base = self._base(text)
        if base or not todo:
            steps.append(_measure("Measuring the original", original, (), request, text, special, base))
        for each in todo:
            steps += [step for step in each.steps if step.target not in {other.target for other in steps if other.target}]
            measured.names[str(each.path)] = each.shown
            steps.append(_measure(f"Measuring {Path(each.shown).name}", original, (each.path,), request, text, special, base))
        return Chain(tuple(steps), tuple(disk), tuple(self._notes), measured)

    def _original(self, steps: list[Step], disk: list[tuple[Path, int]]) -> Path:
        """What is measured as the original: of a folder that is compared with GGUF files, the same weights as such a file."""
        ggufs = [each for each in self.models if not each.path.is_dir() and each.path.suffix.lower() == ".gguf"]
        if not self.original.is_dir() or not ggufs:
            return self.original
        target = self._work / f"{files.identity(self.original)}.gguf"
        steps.append(chains.convert(self.original, target, "auto"))
        disk.append((self._work, files.folder_bytes(self.original)))
        return target

    def _base(self, text: Path) -> str:
        """The folder for the original's logits; empty where the disk has no room for them."""
        needed = _positions(text, self._request) * vocabulary(self.original) * 4
        where = self._home.root if self._home.root.exists() else Path.home()
        return str(self._work / "original") if shutil.disk_usage(where).free - needed > ROOM else ""


def _measure(
    what: str, original: Path, models: Sequence[Path], request: ReportRequest, text: Path, special: bool, base: str
) -> Step:
    command = MeasureQuality(
        REQUEST, str(original), tuple(map(str, models)), str(text), request.context, request.chunks, special, base
    )
    return Step(what, chains.QUALITY, command, 6.0, "", "measurement")


def _positions(text: Path, request: ReportRequest) -> int:
    """More predictions than will be scored: a token has two bytes and more, but for a text of single letters."""
    tokens = text.stat().st_size
    windows = tokens // max(1, request.context) + 1
    return (min(windows, request.chunks) if request.chunks > 0 else windows) * request.context // 2


def vocabulary(model: Path) -> int:
    """Tokens that a model knows; ModelFileError for a file that is none."""
    if model.is_dir():
        try:
            return int(json.loads((model / "config.json").read_text("utf-8")).get("vocab_size", 0)) or 1 << 18
        except (OSError, ValueError, TypeError, AttributeError):
            return 1 << 18
    tokens = open_gguf(model).metadata.get("tokenizer.ggml.tokens")
    return tokens.count if isinstance(tokens, ArrayRef) else len(tokens) if isinstance(tokens, list) else 1 << 18


# -- texts


def text_for(original: Path, text: str = "") -> tuple[Path, bool]:
    """The text to measure on, and whether its control tokens count: the user's, or the one that came with the program.

    The starter has a text of its own: its world has no others, and the general one would only measure how little it knows.
    """
    own = starter().parent / starter_texts.EVALUATION
    if text:
        path = files.there(text)
        if path.is_dir():
            raise SettingError(f"{path} is a folder, not a text.", "Choose a text file.")
        return path, path == own
    path = starter_texts.text_for(original, starter_texts.EVALUATION)
    return path, path == own


# -- what was measured before


def _recall(measured: Measured, chain: _Chain, request: ReportRequest, text: Path, special: bool, memory: Memory) -> None:
    original = memory.sha256(chain.original)
    words = f"{_sha256([text])}:{'special' if special else 'plain'}:{engine_version()}"
    measured.memory = memory
    measured.question = (original, words, request.context, request.chunks)
    measured.keys[str(chain.original)] = original
    for each in chain.models:
        measured.keys[each.shown] = f"{original}:{each.made}" if each.made else memory.sha256(each.path)
    if request.again:
        return
    kept = memory.find(*measured.question)
    for path, key in measured.keys.items():
        made = next((each for each in chain.models if each.shown == path and each.made), None)
        if key in kept and not (made is not None and request.keep):  # what is to be kept has to be made
            measured.found[path] = replace(kept[key], path=path)


def _matrix_key(request: ReportRequest) -> str:
    if not request.imatrix:
        return "plain"
    if request.imatrix == AUTO:
        return f"auto:{_sha256([chains.calibration(request.calibration, files.there(request.original))])}"
    return _sha256([files.there(request.imatrix)])


def engine_version() -> str:
    """Which llama.cpp and transformers measure."""

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "none"

    return f"{version('llama-cpp-python')}:{version('transformers')}"


class Remembered:
    """The memory in the database. Where that cannot be used, nothing is remembered, and nothing fails for it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def sha256(self, path: Path) -> str:
        if path.is_dir():
            return _sha256(sorted(each for each in path.iterdir() if each.suffix in (".safetensors", ".json")))
        if len(split_names(path.name)) > 1:
            return _sha256([path.parent / each for each in split_names(path.name)])
        stat = path.stat()
        known: str = self._read(lambda store: store.model_sha256(str(path), stat.st_size, stat.st_mtime), "")
        if known:
            return known
        digest = _sha256([path])
        self._ledger.write(lambda store: store.remember_model(str(path), stat.st_size, stat.st_mtime, digest))
        return digest

    def find(self, original: str, text: str, context: int, chunks: int) -> dict[str, QualityRow]:
        rows = self._read(lambda store: store.measured(original, text, context, chunks), {})
        return {model: row for model, data in rows.items() if (row := _row(data)) is not None}

    def keep(self, original: str, model: str, text: str, context: int, chunks: int, row: QualityRow) -> None:
        made, data = time.time(), asdict(row)
        self._ledger.write(lambda store: store.add_measured(original, model, text, context, chunks, made, data))

    def _read(self, job: Any, default: Any) -> Any:
        try:
            return self._ledger.read(job).result(PATIENCE_S)
        except (PlaygroundError, TimeoutError):
            return default


def _row(data: dict[str, Any]) -> QualityRow | None:
    """A row as it was kept; None where a version with other fields kept it."""
    names = {each.name for each in fields(QualityRow)}
    try:
        return QualityRow(**data) if data.keys() == names else None
    except TypeError:
        return None


def _sha256(paths: Sequence[Path]) -> str:
    """Of the contents of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


__all__ = ["TYPES", "Measured", "Memory", "Remembered", "ReportRequest", "report", "text_for"]
