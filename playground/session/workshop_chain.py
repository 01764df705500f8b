"""What has to be done for a request, as a chain of steps: merge, convert, importance matrix, quantize. Reads headers, runs nothing.

Intermediate files lie in a folder of the job under the data folder's cache, named by the process that works there, so that what a killed
one left is found and removed at the next start. An importance matrix that was computed is kept under a name of what decides it (the
model, an adapter in it, the text, the settings), and the ones that were used last stay.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from playground.errors import SettingError, StorageError
from playground.models import beside, quantization
from playground.models.gguf_header import split_names
from playground.paths import Home, expanded
from playground.protocol import (
    CollectImatrix,
    Convert,
    ConvertAdapter,
    MergeAdapter,
    QuantizeFolder,
    QuantizeGguf,
)
from playground.session import starter_texts
from playground.session.workshop_files import (
    folder_bytes,
    folder_size,
    free_name,
    gguf_size,
    identity,
    matrix_bytes,
    merged_name,
    refuse_to_replace,
    short_name,
    there,
)
from playground.session.workshop_jobs import AUTO, FLOATS, FOLDER_TYPES, QuantizeRequest
from playground.session.workshop_steps import REQUEST, Step

if TYPE_CHECKING:
    from playground.session.quality import Measured

CONVERT = "playground.workers.convert"
FOLDERS = "playground.workers.folders"
QUANTIZE = "playground.workers.quantize"
QUALITY = "playground.workers.measure"

WORK, MATRICES = "workshop", "imatrix"
"""folders in the cache"""
CHUNKS = 64
"""windows of the calibration text that a matrix is computed from, unless somebody asks for another number"""
MATRICES_KEPT = 32
"""importance matrices that stay in the cache, those used last; each is some thousandths of its model"""
SPARE = 1 << 20
"""bytes that a disk keeps free"""


@dataclass(frozen=True)
class Chain:
    """Steps in their order; `disk`: folder and bytes that each file takes, all of them at once at worst."""

    steps: tuple[Step, ...]
    disk: tuple[tuple[Path, int], ...] = ()
    notes: tuple[str, ...] = ()
    measured: Measured | None = None
    """of a report: the rows that are known, and what becomes of new ones"""


@dataclass
class _Making:
    """A chain while it is being put together."""

    home: Home
    work: Path
    steps: list[Step] = field(default_factory=list)
    disk: list[tuple[Path, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, step: Step, size: int) -> str:
        self.steps.append(step)
        self.disk.append((Path(step.target).parent, size))
        return step.target

    @property
    def whole(self) -> Chain:
        return Chain(tuple(self.steps), tuple(self.disk), tuple(self.notes))


# -- requests


def quantize(home: Home, request: QuantizeRequest, work: Path) -> Chain:
    """SettingError, ModelFileError, NotFoundError for what cannot be done."""
    source = there(request.source)
    wanted = _wanted(request.to)
    making = _Making(home, work)
    if wanted in FOLDER_TYPES:
        return _folder_type(making, source, wanted, request)
    _check_types(request)
    if source.is_dir():
        weights = folder_bytes(source)
        if request.adapter:
            source = Path(_merge_step(making, source, there(request.adapter), request.scale, weights))
        if wanted.lower() in FLOATS:
            target = _target(home, request, wanted, ".gguf")
            refuse_to_replace(target)
            size = weights if wanted.lower() != "f32" else 2 * weights
            making.add(convert(source, target, wanted.lower()), size)
            return making.whole
        size = folder_size(there(request.source), wanted)
        source = Path(making.add(convert(source, work / f"{identity(source)}.gguf", "auto"), weights))
    else:
        if request.adapter:
            raise SettingError(
                "An adapter can be merged into a model folder only, not into a GGUF file.",
                "Take the folder that the adapter was trained on; or load the adapter beside the GGUF file in a chat.",
            )
        size = gguf_size(source, wanted)
    matrix = request.imatrix
    if matrix == AUTO:
        matrix = _matrix_step(making, source, request)
    elif matrix:
        matrix = str(there(matrix))
    target = _target(home, request, wanted, ".gguf")
    parts = [source.parent / each for each in split_names(source.name)]
    refuse_to_replace(target, *parts, *([Path(matrix)] if matrix else []))
    command = QuantizeGguf(
        REQUEST,
        str(source),
        str(target),
        wanted,
        matrix,
        request.output_type.upper(),
        request.embedding_type.upper(),
        request.keep_output,
        allow_requantize=request.allow_requantize,
    )
    making.add(Step(f"Quantizing to {wanted}", QUANTIZE, command, 3.0, str(target), "quantization"), size)
    return making.whole


def merge(home: Home, base: str, adapter: str, scale: float, out: str, work: Path) -> Chain:
    """A folder with the adapter in its weights."""
    source, other = there(base), there(adapter)
    if not source.is_dir():
        raise SettingError(
            "An adapter can be merged into a model folder only.", "Take the folder that the adapter was trained on."
        )
    target = expanded(out).absolute() if out else free_name(home.models / merged_name(base, adapter))
    making = _Making(home, work)
    making.add(
        Step(
            "Merging the adapter",
            FOLDERS,
            MergeAdapter(REQUEST, str(source), str(other), str(target), scale),
            1.0,
            str(target),
            "merge",
        ),
        folder_bytes(source),
    )
    return making.whole


def adapter(home: Home, source: str, base: str, out: str, work: Path) -> Chain:
    """A GGUF LoRA file of an adapter folder."""
    folder = there(source)
    target = expanded(out).absolute() if out else free_name(home.adapters / f"{short_name(source)}.gguf")
    refuse_to_replace(target)
    making = _Making(home, work)
    command = ConvertAdapter(REQUEST, str(folder), str(target), str(there(base)) if base else "")
    size = 2 * folder_bytes(folder) if folder.is_dir() else 0
    making.add(Step("Converting the adapter", CONVERT, command, 1.0, str(target), "conversion"), size)
    return making.whole


def imatrix(home: Home, model: str, text: str, out: str, work: Path) -> Chain:
    """An importance matrix of a GGUF file."""
    source, target = there(model), expanded(out).absolute() if out else home.cache / MATRICES / f"{short_name(model)}.gguf"
    refuse_to_replace(target, *(source.parent / each for each in split_names(source.name)))
    making = _Making(home, work)
    making.add(_collect(source, calibration(text, source), target), matrix_bytes(source))
    return making.whole


# -- parts of chains


def _folder_type(making: _Making, source: Path, method: str, request: QuantizeRequest) -> Chain:
    if not source.is_dir():
        raise SettingError(
            f"{method} is made of a model folder, not of a GGUF file.",
            "Choose the model's folder, or a type of llama.cpp's: Q4_K_M.",
        )
    weights = folder_bytes(source)
    if request.adapter:
        source = Path(_merge_step(making, source, there(request.adapter), request.scale, weights))
    target = _target(making.home, request, method, "")
    command = QuantizeFolder(REQUEST, str(source), str(target), method, request.double)
    making.add(Step(f"Quantizing to {method}", FOLDERS, command, 3.0, str(target), "quantization"), weights // 2)
    return making.whole


def _merge_step(making: _Making, base: Path, other: Path, scale: float, weights: int) -> str:
    target = making.work / f"{identity(base, other)}-merged"
    command = MergeAdapter(REQUEST, str(base), str(other), str(target), scale)
    return making.add(Step("Merging the adapter", FOLDERS, command, 1.0, str(target), "merge"), weights)


def convert(source: Path, target: Path, kind: str) -> Step:
    """A folder becomes a GGUF file."""
    command = Convert(REQUEST, str(source), str(target), kind)
    return Step("Converting to GGUF", CONVERT, command, 1.0, str(target), "conversion")


def _matrix_step(making: _Making, source: Path, request: QuantizeRequest) -> str:
    """The matrix's file, with a step that computes it of `source` unless that was done before."""
    original = there(request.source)
    words = calibration(request.calibration, original)
    target = making.home.cache / MATRICES / f"{_matrix_key(request, original, words)}.gguf"
    if target.exists():
        with suppress(OSError):
            os.utime(target)  # used last: it stays longest
        making.notes.append("The importance matrix was computed before, and is used again.")
        return str(target)
    return making.add(_collect(source, words, target), matrix_bytes(original))


def _matrix_key(request: QuantizeRequest, original: Path, text: Path) -> str:
    """A name for what decides a matrix. The model that it is computed of lies elsewhere for every job when it had to be made first."""
    base = [original] if original.is_dir() else [original.parent / each for each in split_names(original.name)]
    adapter = (identity(there(request.adapter)), request.scale) if request.adapter else None
    with text.open("rb") as file:
        words = hashlib.file_digest(file, "sha256").hexdigest()
    settings = CollectImatrix(REQUEST, "", "", "", chunks=CHUNKS)
    return hashlib.sha256(repr((identity(*base), adapter, words, settings.context, settings.chunks)).encode()).hexdigest()[:24]


def _collect(model: Path, text: Path, target: Path) -> Step:
    command = CollectImatrix(REQUEST, str(model), str(text), str(target), chunks=CHUNKS)
    return Step("Computing the importance matrix", QUANTIZE, command, 6.0, str(target), "importance matrix")


def calibration(text: str, model: Path) -> Path:
    """The text to calibrate with: the user's, or the one that came with the program for this model."""
    return there(text) if text else starter_texts.text_for(model, starter_texts.CALIBRATION)


def _wanted(to: str) -> str:
    if to.lower() in FOLDER_TYPES:
        return to.lower()
    found = quantization.type_name(to)
    if not found:
        names = ", ".join([*quantization.TYPES, *FOLDER_TYPES])
        raise SettingError(f"There is no type {to}.", f"Choose one of {names}.")
    return found


def _check_types(request: QuantizeRequest) -> None:
    for what, value in (("output", request.output_type), ("token embedding", request.embedding_type)):
        if value and value.upper() not in quantization.TENSOR_TYPES:
            raise SettingError(f"There is no tensor type {value} for the {what}.", "Choose Q8_0, Q6_K, F16 or another one.")


def _target(home: Home, request: QuantizeRequest, kind: str, ending: str) -> Path:
    stem = merged_name(request.source, request.adapter) if request.adapter else short_name(request.source)
    name = f"{stem}-{kind}{ending}"
    if not request.out:
        return free_name(home.models / name)
    out = expanded(request.out).absolute()
    return free_name(out / name) if ending and out.is_dir() else out


# -- the disk


def check_disk(chain: Chain) -> None:
    """StorageError if the files of a chain do not all fit on their disks."""
    needed: dict[int, tuple[Path, int]] = {}
    for folder, size in chain.disk:
        where = folder
        while not where.exists() and where != where.parent:
            where = where.parent
        device = where.stat().st_dev
        needed[device] = (where, needed.get(device, (where, 0))[1] + size)
    for where, size in needed.values():
        free = shutil.disk_usage(where).free
        if size + SPARE > free:
            raise StorageError(
                f"This needs about {_size(size + SPARE)} on the disk of {where}, and {_size(max(0, free))} are free.",
                "Free some space, or choose another place.",
            )


def _size(nbytes: int) -> str:
    return f"{nbytes / (1 << 30):.1f} GiB" if nbytes >= 1 << 30 else f"{nbytes / (1 << 20):,.0f} MiB"


def work_folder(home: Home) -> Path:
    """A folder for one job's intermediate files; not made yet."""
    return beside.passing(home.cache / WORK)


def tidy(home: Home) -> None:
    """Removes what processes that are gone have left on their way, and importance matrices that have not been used for long."""
    beside.sweep(home.cache / WORK)
    for folder in (home.models, home.adapters, home.cache / MATRICES):
        beside.tidy(folder)
    matrices = [each for each in (home.cache / MATRICES).glob("*.gguf") if re.fullmatch("[0-9a-f]{24}", each.stem)]
    for old in sorted(matrices, key=_used)[:-MATRICES_KEPT]:
        beside.remove(old)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0
