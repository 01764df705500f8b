"""What a face sees of the workshop: a job and how far it is, what is asked for, and what a quantization would give. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playground.protocol import QualityRow

Kind = Literal["quantize", "convert", "merge", "adapter", "imatrix", "report"]
State = Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]

ENDED = ("done", "failed", "cancelled")

FLOATS = ("f32", "f16", "bf16")
"""number formats that a folder is converted to without losing bits on purpose"""
FOLDER_TYPES = ("nf4", "int8")
"""what bitsandbytes makes of a folder; the result is a folder for transformers"""
AUTO = "auto"
"""an importance matrix is to be computed"""


@dataclass(frozen=True)
class Making:
    """One job of the workshop as a face shows it. `fraction` of the whole job from 0 to 1, or -1; `seconds_left` -1 when it cannot be said."""

    id: str
    kind: Kind
    title: str
    state: State = "queued"
    step: str = ""
    """what it is doing, for people"""
    fraction: float = -1.0
    message: str = ""
    hint: str = ""
    path: str = ""
    """the result, once it is done"""
    bytes: int = 0
    """its size"""
    seconds: float = 0.0
    """how long it took, once it is done"""
    notes: tuple[str, ...] = ()
    """sentences about the result that the user should read"""
    rows: tuple[QualityRow, ...] = ()
    """of a report: the original first"""
    seconds_left: float = -1.0
    steps: tuple[str, ...] = ()
    """the whole job, step by step"""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def running(self) -> bool:
        return self.state in ("running", "cancelling")


@dataclass(frozen=True)
class JobChanged:
    """A job is new, has come further, or is `removed` from the list."""

    making: Making
    removed: bool = False


@dataclass(frozen=True)
class QuantizeRequest:
    """One model in another number format."""

    source: str
    """a GGUF file, or a folder in Hugging Face layout"""
    to: str
    """a type of llama.cpp's (`Q4_K_M`), one of `FLOATS`, or one of `FOLDER_TYPES`"""
    out: str = ""
    """where to; empty for the data folder, under the model's name and the type's"""
    adapter: str = ""
    """a folder in PEFT layout, merged into the weights first"""
    scale: float = 1.0
    """how much of the adapter"""
    imatrix: str = ""
    """an importance matrix, `auto` for one computed from `calibration`, empty for none"""
    calibration: str = ""
    """a text file; empty for the text that came with the program"""
    output_type: str = ""
    embedding_type: str = ""
    keep_output: bool = False
    allow_requantize: bool = False
    """start from a file that is quantized already: it loses twice"""
    double: bool = True
    """quantize the scales as well (NF4 only)"""


@dataclass(frozen=True)
class TypeRow:
    """One type that a model could be quantized to. Sizes in bytes."""

    name: str
    size: int
    bits_per_weight: float
    exact: bool
    """whether the size is the quantizer's own answer, not an estimate"""
    quality: str
    """what to expect of it, in a few words"""
    loss: float = -1.0
    """expected rise of the perplexity in per cent, as measured elsewhere on a model of 8 billion weights; -1 where nothing is known"""
    kl: float = -1.0
    """expected mean KL divergence from the original, in nats, from the same measurement; -1 where nothing is known"""
    needs_imatrix: bool = False
    recommended: bool = False
    verdict: str = ""
    """whether it fits this machine, in the words of `models.files.Verdict`; empty where it cannot be said"""
    why: str = ""
    disk: int = 0
    """bytes that the whole job takes on the disk while it runs"""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What could be made of a source. `steps` are those on the way to a quantized GGUF file."""

    source: str
    name: str
    kind: str
    """`gguf` or `safetensors`"""
    size: int
    quantization: str
    """what the source is in"""
    rows: tuple[TypeRow, ...]
    steps: tuple[str, ...] = ()
    disk_free: int = 0
    problem: str = ""
    """what speaks against it; without `rows` it cannot be quantized at all"""
    hint: str = ""


__all__ = [
    "AUTO",
    "ENDED",
    "FLOATS",
    "FOLDER_TYPES",
    "JobChanged",
    "Kind",
    "Making",
    "Plan",
    "QuantizeRequest",
    "State",
    "TypeRow",
]
