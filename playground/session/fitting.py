"""Which model a name stands for, as something to estimate: on this disk, or on the hub before a byte of weights is there.

Joins what `models` reads (headers, here or by HTTP range) with what `memory` computes; neither knows the other.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from playground.errors import HubError, ModelFileError, NotFoundError
from playground.history.records import FitRow
from playground.memory.buffers import Engine
from playground.memory.devices import HOST, Device, find_devices, repacked_formats
from playground.memory.fit import Fit, Situation, fit, largest_context
from playground.memory.shape import ModelShape
from playground.memory.sources import read_config, shape_from_config, shape_from_gguf
from playground.memory.transformers_fit import Load, transformers_fit
from playground.models import library
from playground.models import token as tokens
from playground.models.files import recommend
from playground.models.gguf_header import merge_splits, open_gguf, split_names
from playground.models.hub import Hub, ModelPage
from playground.models.remote import read_whole, remote_gguf, remote_safetensors
from playground.models.safetensors_header import SafetensorsHeader, open_safetensors, shard_names
from playground.params import ContextSettings
from playground.paths import Home
from playground.protocol import ModelInfo

FOLDER_CONTEXT = 8192
"""the window of a model folder where the user leaves it to us and it was trained for more, in tokens"""
LATEST = 5
"""loads that the learned runtime term is the median of"""


@dataclass(frozen=True)
class Subject:
    """A model to estimate. `bytes_read` from the hub to learn its shape; 0 for one on this disk."""

    name: str
    shape: ModelShape
    format: str
    """`gguf` (llama.cpp) or `safetensors` (transformers)"""
    bytes_read: int = 0


def subject(home: Home, name: str) -> Subject:
    """`starter`, a path, a name of the library, or `owner/name[:file]` on the hub. NotFoundError, ModelFileError, HubError."""
    repo, _, file = name.partition(":")
    if is_repo(repo) and not Path(name).expanduser().exists():
        try:
            return of_path(library.resolve(home, name))
        except NotFoundError:
            return of_repo(repo, file)
    return of_path(library.resolve(home, name))


def is_repo(name: str) -> bool:
    """Whether a name has the form `owner/name` that the hub gives its repositories."""
    owner, slash, rest = name.partition("/")
    return bool(owner and slash and rest) and "/" not in rest and not name.startswith((".", "~"))


def of_path(path: Path) -> Subject:
    """A model on this disk: all parts of a split GGUF, or a folder in Hugging Face layout."""
    if path.is_dir():
        return Subject(path.name, _folder_shape(path), "safetensors")
    parts = [open_gguf(path.parent / part) for part in split_names(path.name)]
    return Subject(path.stem, shape_from_gguf(merge_splits(parts) if len(parts) > 1 else parts[0]), "gguf")


def of_repo(repo: str, file: str = "", page: ModelPage | None = None) -> Subject:
    """A model on the hub: `file`, or the one that would be recommended. Reads headers by range, no weights."""
    if not file:
        page = page or Hub().model(repo)
        best = recommend(page.choices, None).choice
        if best is None:
            raise NotFoundError(f"{repo} has no model file that can be used here.", "Choose another repository.")
        file = best.path
    if file.endswith(".gguf"):
        header, read = remote_gguf(repo, file, token=tokens.current())
        return Subject(f"{repo}:{file}", shape_from_gguf(header), "gguf", sum(each.bytes_read for each in read))
    return _remote_folder(repo, file)


def engine_for(settings: ContextSettings) -> Engine:
    """llama.cpp as our worker opens a context, on this processor."""
    return Engine(outputs_max=settings.sequences, repacks=repacked_formats())


def with_weights(shape: ModelShape, size: int) -> ModelShape:
    """The same shape in another quantization, `size` bytes in all: every tensor scaled alike.

    Where the size is that of four bits, the layers' matrices are taken for such as processors get a second copy of.
    """
    before = sum(shape.tensors.values())
    if not before:
        return shape
    tensors = {name: round(nbytes * size / before) for name, nbytes in shape.tensors.items()}
    bits = 8 * size / shape.parameters if shape.parameters else 0.0
    matrices = {name: "q4_k" for name in shape.matrices if name.startswith("blk.")} if 4.4 < bits < 5.2 else {}
    basis = "the tensor table of another quantization, scaled to this file's size"
    return replace(shape, tensors=tensors, matrices=matrices, basis=basis)


def estimate(
    what: Subject,
    settings: ContextSettings,
    held: dict[str, int] | None = None,
    runtime: dict[str, int] | None = None,
) -> tuple[Fit, int]:
    """The estimate on this machine, and the largest context that fits, in tokens: through llama.cpp, or transformers for a folder."""
    devices = find_devices()
    if what.format == "safetensors":
        return folder_fit(what.shape, settings, devices, held, runtime), what.shape.context_train
    engine = engine_for(settings)
    found = fit_on(what, settings, devices, held, runtime)
    situation = Situation(what.shape, tuple(devices), held or {}, runtime or {}, engine=engine)
    return found, largest_context(situation, settings)


def fit_on(
    what: Subject,
    settings: ContextSettings,
    devices: Sequence[Device],
    held: Mapping[str, int] | None = None,
    runtime: Mapping[str, int] | None = None,
) -> Fit:
    """The estimate on these devices, through the engine that the model would run in."""
    if what.format != "gguf":
        return folder_fit(what.shape, settings, devices, held, runtime)
    return fit(what.shape, settings, devices, held=held, runtime=runtime, engine=engine_for(settings))


def folder_fit(
    shape: ModelShape,
    settings: ContextSettings,
    devices: Sequence[Device],
    held: Mapping[str, int] | None = None,
    runtime: Mapping[str, int] | None = None,
) -> Fit:
    """A model folder as our worker loads it: one sequence, whose cache grows with it (comparing several takes as many)."""
    stored = sum(shape.tensors.values()) / shape.parameters if shape.parameters and shape.tensors else 2.0
    loads: dict[str, Load] = {"f32": "f32", "bf16": "bf16", "f16": "f16", "int8": "int8", "nf4": "nf4-double"}
    return transformers_fit(
        shape,
        devices,
        load=loads.get(settings.precision) or ("f32" if stored > 3 else "bf16" if stored > 1.5 else "stored"),
        context=settings.context or min(shape.context_train or FOLDER_CONTEXT, FOLDER_CONTEXT),
        held=held,
        runtime=runtime,
    )


def by_device(found: Fit) -> dict[str, dict[str, int]]:
    """An estimate as it is stored: bytes by device and term, devices that hold nothing left out."""
    return {one.device.name: one.terms.to_dict() for one in found.devices if one.terms.total}


def measured(info: ModelInfo, resident: int = 0) -> dict[str, dict[str, int]]:
    """The same of a loaded model: buffers as the engine reports them, and on the host, once it is known, what the process takes beside.

    A process touches its compute buffers in part only, so that what is left for the runtime may come out too small; never below 0.
    """
    found: dict[str, dict[str, int]] = {}
    for term in info.memory:
        device = found.setdefault(term.device, {})
        device[term.kind] = device.get(term.kind, 0) + term.bytes
    if resident:
        host = found.setdefault(HOST, {})
        host["runtime"] = max(0, resident - sum(host.values()))
    return found


def learned_runtime(fits: Iterable[FitRow], engine: str = "llama.cpp") -> dict[str, int]:
    """The runtime term per device as measured here: the median of the last loads by this engine that measured it."""
    seen: dict[str, list[int]] = {}
    for row in fits:
        if row.engine_build.startswith("transformers") != (engine == "transformers"):
            continue
        for device, terms in row.measured.items():
            if "runtime" in terms:
                seen.setdefault(device, []).append(terms["runtime"])
    return {device: int(statistics.median(values[:LATEST])) for device, values in seen.items()}


def _folder_shape(folder: Path) -> ModelShape:
    try:
        config = read_config((folder / "config.json").read_bytes(), "config.json")
    except OSError:
        raise ModelFileError(f"{folder} has no config.json.", "Choose a folder in Hugging Face layout.") from None
    return shape_from_config(config, open_safetensors(folder), folder.name)


def _remote_folder(repo: str, file: str) -> Subject:
    """Config and the headers of all shards; the index names them."""
    token = tokens.current()
    config = read_config(read_whole(repo, "config.json", token=token), f"{repo}/config.json")
    names, read = [file], 0
    try:
        index = read_whole(repo, "model.safetensors.index.json", token=token)
        json.loads(index)
        names = shard_names(index, "model.safetensors.index.json")
        read += len(index)
    except (NotFoundError, HubError, ValueError):
        pass  # one file holds everything
    headers: list[SafetensorsHeader] = []
    for name in names:
        header, source = remote_safetensors(repo, name, token=token)
        headers.append(header)
        read += source.bytes_read
    whole = replace(headers[0], tensors=tuple(tensor for header in headers for tensor in header.tensors))
    return Subject(repo, shape_from_config(config, whole, repo), "safetensors", read)
