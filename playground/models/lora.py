"""A LoRA adapter in PEFT layout: its configuration checked, its pairs of matrices read one at a time. Numpy alone.

What a pair does: W becomes W + scale * (alpha / r) * B A, with alpha / sqrt(r) for rank-stabilised adapters
(Hu et al. 2021, arXiv 2106.09685; Kalajdzievski 2023, arXiv 2312.03732). Adapters that do anything else are refused with a sentence.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError, NotFoundError
from .details import read_json
from .safetensors_header import SafeTensor, open_safetensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
Floats = NDArray[np.float32]

_PREFIX = "base_model.model."
_KEY = re.compile(r"^(?P<module>.+)\.lora_(?P<side>A|B|embedding_A|embedding_B)(\.default)?(\.weight)?$")
_ELSEWHERE = "Merge it with PEFT, and use the merged model."
_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga")
"""ways of starting the training that changed the model's own weights"""


@dataclass(frozen=True)
class Pair:
    """One module's matrices: `a` [rank, inputs] and `b` [outputs, rank], as tensors on disk. `scaling` is alpha / r."""

    module: str
    """as transformers calls it, without `.weight`"""
    a: SafeTensor
    b: SafeTensor
    rank: int
    scaling: float
    embedding: bool
    """`a` has a column for each token"""

    @property
    def shape(self) -> tuple[int, int]:
        """Of the product B A: outputs, inputs. For an embedding: width, tokens."""
        return self.b.shape[0], self.a.shape[1]


class Lora:
    """An adapter folder. Making one reads the configuration and the header. Raises NotFoundError or ModelFileError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = _read_config(folder)
        self._file = _weights(folder)
        self.pairs = _pairs(folder.name, self.config, open_safetensors(self._file).tensors)

    @property
    def base(self) -> str:
        """What the model is called that it was trained for: a repository or a path, empty if nobody wrote it down."""
        name = self.config.get("base_model_name_or_path")
        return name if isinstance(name, str) else ""

    def read(self, pair: Pair) -> tuple[Floats, Floats]:
        """A and B as float32. ModelFileError if a number in them is none."""
        a, b = self._matrix(pair.a), self._matrix(pair.b)
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise ModelFileError(
                f'The adapter {self.folder.name} is damaged: numbers in "{pair.module[:80]}" are not finite.',
                "Its training went astray: take an earlier checkpoint.",
            )
        return a, b

    def _matrix(self, tensor: SafeTensor) -> Floats:
        try:
            with self._file.open("rb") as file:
                file.seek(tensor.offset)
                data = file.read(tensor.nbytes)
        except OSError as error:
            raise ModelFileError(f"{self._file} cannot be read: {error.strerror or error}.", "Check the disk.") from None
        if len(data) != tensor.nbytes:
            raise ModelFileError(f"{self._file.name} is cut short.", "Copy the adapter again.")
        if tensor.dtype == "BF16":
            return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(tensor.shape)
        return np.frombuffer(data, _TYPES[tensor.dtype]).astype(np.float32).reshape(tensor.shape)


_TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2"}


def sha256_of(adapter: Path) -> str:
    """The SHA-256 of an adapter: of a file, or of a folder's configuration and weights together."""
    digest = hashlib.sha256()
    for file in [adapter / CONFIG, _weights(adapter)] if adapter.is_dir() else [adapter]:
        try:
            with file.open("rb") as handle:
                for part in iter(partial(handle.read, 1 << 20), b""):
                    digest.update(part)
        except OSError as error:
            raise ModelFileError(f"{file} cannot be read: {error.strerror or error}.", "Check the path.") from None
    return digest.hexdigest()


def _weights(folder: Path) -> Path:
    file = folder / WEIGHTS
    if file.is_file():
        return file
    if any(folder.glob("adapter_model*.bin")) or any(folder.glob("*.pt")):
        raise ModelFileError(
            f"The adapter {folder.name} has its weights as a pickle file, which can run programs and is not read.",
            f"Look for a copy of it with {WEIGHTS}.",
        )
    raise ModelFileError(f"The adapter {folder.name} has no {WEIGHTS}.", "Copy or train it again.")


def _read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json, checked for everything that LoRA in its plain form does not have."""
    name = folder.name
    if not folder.exists():
        raise NotFoundError(f"There is no adapter {folder}.", "It may have been moved or deleted; choose it again.")
    if not (folder / CONFIG).is_file():
        raise ModelFileError(f"{name} is no adapter: it has no {CONFIG}.", "Choose a folder in PEFT layout.")
    config = read_json(folder / CONFIG)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ModelFileError(f"{name} is an adapter of the kind {str(kind)[:40]}; only LoRA can be used.", _ELSEWHERE)
    modules = config.get("modules_to_save")
    how = config.get("init_lora_weights")
    more = {
        "with magnitudes of its own (DoRA)": config.get("use_dora"),
        f"with biases ({str(config.get('bias'))[:20]})": config.get("bias", "none") != "none" or config.get("lora_bias"),
        f"with whole layers beside the pairs ({', '.join(map(str, modules))[:80] if isinstance(modules, list) else modules})": modules,
        "for quantized groups (QA-LoRA)": config.get("use_qalora"),
        "with rows of the token table": config.get("trainable_token_indices"),
        "with layers used several times": config.get("layer_replication"),
        "on parameters that are no layers of their own (target_parameters)": config.get("target_parameters"),
        "that begins to act at certain tokens (aLoRA)": config.get("alora_invocation_tokens"),
        "of block-diagonal matrices": config.get("use_bdlora"),
        f"that was trained on changed weights ({how})": isinstance(how, str) and how.lower().startswith(_CHANGES_BASE),
        **{f"of the kind {each}": config.get(f"{each}_config") for each in ("arrow", "kasa", "monteclora", "velora")},
    }
    for what, there in more.items():
        if there:
            raise ModelFileError(f"{name} is an adapter {what}, which is not plain LoRA and cannot be used.", _ELSEWHERE)
    return config


def _pairs(name: str, config: dict[str, Any], tensors: tuple[SafeTensor, ...]) -> tuple[Pair, ...]:
    sides: dict[str, dict[str, SafeTensor]] = {}
    for tensor in tensors:
        if tensor.name.endswith(".base_layer.weight"):
            continue  # PEFT saves the model's own table with an adapter that has a pair for it
        found = _KEY.match(tensor.name)
        if found is None:
            raise ModelFileError(
                f'{name} is an adapter with more than pairs of matrices ("{tensor.name[:80]}"), and cannot be used.', _ELSEWHERE
            )
        if tensor.dtype not in _TYPES:
            raise ModelFileError(
                f"{name} is an adapter in the format {tensor.dtype}, which cannot be read.", "Save it in f32 or bf16."
            )
        sides.setdefault(found["module"].removeprefix(_PREFIX), {})[found["side"]] = tensor
    if not sides:
        raise ModelFileError(f"The adapter {name} is empty.", "Train it again.")
    pairs = []
    for module, side in sorted(sides.items()):
        embedding = "embedding_A" in side
        a, b = side.get("embedding_A" if embedding else "A"), side.get("embedding_B" if embedding else "B")
        if a is None or b is None or len(side) != 2 or len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
            raise ModelFileError(
                f'The adapter {name} is damaged: the matrices of "{module[:80]}" do not fit.', "Copy it again."
            )
        pairs.append(Pair(module, a, b, a.shape[0], _scaling(name, config, module, a.shape[0]), embedding))
    return tuple(pairs)


def _scaling(name: str, config: dict[str, Any], module: str, rank: int) -> float:
    """Alpha / r, or alpha / sqrt(r): alpha by the first pattern that ends the module's name, else the common one."""
    alpha: Any = config.get("lora_alpha", 8)
    patterns = config.get("alpha_pattern") or {}
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = value
                break
        except re.error:
            raise ModelFileError(
                f"The adapter {name} has a pattern that makes no sense: {pattern[:60]}.", "Train it again."
            ) from None
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha) or rank < 1:
        raise ModelFileError(f"The adapter {name} is damaged: its alpha is {alpha!r:.40}, its rank {rank}.", "Train it again.")
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)
