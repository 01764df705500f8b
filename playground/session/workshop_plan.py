"""What a model could become: each type with its size, what to expect of it, and whether it fits. Blocks the thread that calls it.

Sizes come from the quantizer itself where there is a GGUF file (a worker asks it), else from the table of tensors.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from playground.errors import Cancelled, ModelFileError, PlaygroundError, WorkerError
from playground.memory.devices import Device, find_devices
from playground.memory.fit import fit
from playground.memory.shape import ModelShape
from playground.memory.transformers_fit import transformers_fit
from playground.models import library, quantization
from playground.models.details import describe
from playground.models.gguf_header import open_gguf
from playground.models.safetensors_header import open_safetensors
from playground.paths import Home
from playground.protocol import SurveyTypes, TypeSize, TypesSurveyed
from playground.session import fitting
from playground.session import workshop_chain as chains
from playground.session import workshop_files as files
from playground.session.verdicts import usual
from playground.session.workshop_jobs import FOLDER_TYPES, Plan, TypeRow
from playground.session.workshop_steps import REQUEST, Step, Stop, run_step

_WHOLE = ("F64", "F32", "F16", "BF16", "")
"""what a folder may be in"""
_FOLDER = {
    "nf4": ("four bits for transformers, trains and chats", 4.127, 0.05),
    "int8": ("eight bits for transformers", 8.0, 0.005),
}


def make(home: Home, source: Path, adapter: str, stop: Stop) -> Plan:
    """The plan; its `problem` says why nothing can be made of this model. Cancelled if `stop` says so."""
    row = library.inspect(source)
    kind = "safetensors" if source.is_dir() else "gguf"
    if source.is_dir() and row.kind == "gguf":  # it lies in the folder too, and is not what a folder is quantized from
        plan = Plan(str(source), source.name, kind, files.folder_bytes(source), describe(source).quantization, ())
    else:
        plan = Plan(str(source), row.name, kind, row.size, row.quantization, ())
    try:
        return _gguf(home, source, plan, stop) if kind == "gguf" else _folder(home, source, plan, adapter)
    except Cancelled:
        raise
    except PlaygroundError as error:
        return replace(plan, problem=error.message, hint=error.hint)


def _gguf(home: Home, source: Path, plan: Plan, stop: Stop) -> Plan:
    step = Step("Asking the quantizer", chains.QUANTIZE, SurveyTypes(REQUEST, str(source)), word="quantization")
    answers = run_step(step, stop, lambda fraction, what: None).other
    surveyed = next((each for each in answers if isinstance(each, TypesSurveyed)), None)
    if surveyed is None:
        raise WorkerError("The quantizer gave no answer.", "Try again.")
    shape, devices = _shape(source), find_devices()
    quantized = any(tensor.kind.quantized for tensor in open_gguf(source).tensors)
    rows = [_row(size, shape, devices, extra=0) for size in surveyed.sizes if size.type in quantization.TYPES]
    rows = [replace(row, disk=row.size) for row in rows]
    problem = "This model is quantized already: whatever is made of it loses twice." if quantized else ""
    hint = "Start from the original (F16, BF16 or F32), if you can." if quantized else ""
    return replace(
        plan,
        rows=_sorted(_recommended(rows)),
        steps=("Quantizing",),
        disk_free=_free(home.models),
        problem=problem,
        hint=hint,
    )


def _folder(home: Home, source: Path, plan: Plan, adapter: str) -> Plan:
    header = open_safetensors(source)
    if plan.quantization not in _WHOLE:
        raise ModelFileError(
            f"{plan.name} is quantized already ({plan.quantization}), and its weights cannot be turned back.",
            "Take the original model instead.",
        )
    weights = files.folder_bytes(source)
    table = [(tensor.name, tuple(reversed(tensor.shape))) for tensor in header.tensors]
    shape, devices = _shape(source), find_devices()
    before = weights * (2 if adapter else 1)
    rows = []
    for name, found in quantization.TYPES.items():
        size = quantization.estimated_size(table, name)
        bits = 8 * size / max(1, header.parameters)
        answer = TypeSize(name, size, bits, found.with_imatrix and name in _NEEDS)
        rows.append(_row(answer, shape, devices, extra=before, exact=False))
    for method, (quality, bits, kl) in _FOLDER.items():
        rows.append(_folder_row(method, quality, bits, kl, header.parameters, table, shape, devices, weights if adapter else 0))
    steps = ("Merging the adapter", "Converting to GGUF", "Quantizing") if adapter else ("Converting to GGUF", "Quantizing")
    return replace(plan, rows=_sorted(_recommended(rows)), steps=steps, disk_free=_free(home.models))


_NEEDS = ("IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_K_S")
"""types that llama.cpp refuses to make without an importance matrix"""


def _row(size: TypeSize, shape: ModelShape | None, devices: list[Device], extra: int, exact: bool = True) -> TypeRow:
    found = quantization.TYPES[size.type]
    verdict, why = _verdict(shape, size.bytes, devices)
    notes = []
    if size.fallbacks:
        notes.append(f"{size.fallbacks} tensors have rows that this type does not fit; they get a larger one.")
    if found.special:
        notes.append("It is of use only to models that were trained for it.")
    return TypeRow(
        size.type,
        size.bytes,
        size.bits_per_weight,
        exact,
        found.about,
        found.loss,
        found.kl,
        size.needs_imatrix,
        verdict=verdict,
        why=why,
        disk=extra + size.bytes,
        notes=tuple(notes),
    )


def _folder_row(
    method: str,
    quality: str,
    bits: float,
    kl: float,
    parameters: int,
    table: list[tuple[str, tuple[int, ...]]],
    shape: ModelShape | None,
    devices: list[Device],
    extra: int,
) -> TypeRow:
    """What bitsandbytes makes: it quantizes the layers' matrices and leaves the rest in 16 bits."""
    linear = sum(wide[0] * wide[1] for name, wide in table if len(wide) == 2 and "layers." in name + "." and "norm" not in name)
    size = int(linear * bits / 8 + (parameters - linear) * 2)
    verdict = why = ""
    if shape is not None:
        found = transformers_fit(shape, devices, load="nf4-double" if method == "nf4" else "bf16", context=usual(shape).context)
        verdict, why = (found.verdict, found.why) if method == "nf4" else ("", "")
    return TypeRow(
        method, size, 8 * size / max(1, parameters), False, quality, kl=kl, verdict=verdict, why=why, disk=extra + size
    )


def _shape(source: Path) -> ModelShape | None:
    try:
        return fitting.of_path(source).shape
    except PlaygroundError:
        return None  # an architecture whose memory nobody can estimate may still be quantized


def _verdict(shape: ModelShape | None, size: int, devices: list[Device]) -> tuple[str, str]:
    if shape is None:
        return "", ""
    settings = usual(shape)
    found = fit(fitting.with_weights(shape, size), settings, devices, engine=fitting.engine_for(settings))
    return found.verdict, found.why


def _recommended(rows: list[TypeRow]) -> list[TypeRow]:
    """Q4_K_M, or a larger one where the model is small: below a billion weights four bits cost more."""
    if not rows:
        return rows
    by_name = {row.name: row for row in rows}
    wanted = "Q4_K_M"
    largest = by_name.get("Q8_0")
    if largest is not None and largest.size < 1 << 30 and largest.verdict in ("fits", ""):
        wanted = "Q8_0" if largest.size < 300 << 20 else "Q6_K"
    if wanted in by_name and by_name[wanted].verdict == "does not fit":
        wanted = next(
            (name for name in ("IQ3_M", "Q2_K") if name in by_name and by_name[name].verdict != "does not fit"), wanted
        )
    return [replace(row, recommended=row.name == wanted) for row in rows]


def _sorted(rows: list[TypeRow]) -> tuple[TypeRow, ...]:
    """The largest first; what is for transformers comes last."""
    return tuple(sorted(rows, key=lambda row: (row.name in FOLDER_TYPES, -row.size)))


def _free(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
