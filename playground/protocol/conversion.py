"""Making files of models: conversion, merging, quantization and what these need to know beforehand."""

from __future__ import annotations

from dataclasses import dataclass

from playground.params import ContextSettings
from playground.protocol.parts import MemoryTerm


@dataclass(frozen=True)
class Convert:
    """Write a GGUF file of a model folder in Hugging Face layout; answered by `Progress`, then `Made` or `Failed`.

    `type` is `f32`, `f16`, `bf16` or `auto` (the type most weights have). `target` comes into being when it is whole.
    """

    request: int
    source: str
    target: str
    type: str = "auto"


@dataclass(frozen=True)
class ConvertAdapter:
    """Write a GGUF LoRA file of an adapter folder in PEFT layout; `base` is its model, a folder or a GGUF file. Answered as `Convert`."""

    request: int
    source: str
    target: str
    base: str = ""


@dataclass(frozen=True)
class MergeAdapter:
    """Write a model folder in which an adapter has become part of the weights. Answered as `Convert`."""

    request: int
    base: str
    adapter: str
    target: str
    scale: float = 1.0


@dataclass(frozen=True)
class QuantizeGguf:
    """Write a GGUF file of another type through llama.cpp's own quantizer. Answered as `Convert`, with a `Progress` for each tensor.

    `type` is a name as llama.cpp's own tool knows it (`Q4_K_M`, `IQ2_XXS`, `F16`, ...); `output_type` and `embedding_type` override it for
    those two tensors.
    """

    request: int
    source: str
    target: str
    type: str
    imatrix: str = ""
    """an importance matrix (GGUF); the types that need one refuse to go without"""
    output_type: str = ""
    embedding_type: str = ""
    keep_output: bool = False
    """leave the output tensor as it is"""
    threads: int = 0
    allow_requantize: bool = False
    """take a source that is quantized already, and lose twice"""


@dataclass(frozen=True)
class SurveyTypes:
    """Ask the quantizer what a GGUF file would become, type by type, without making it; answered by `TypesSurveyed` and `Finished`."""

    request: int
    source: str
    types: tuple[str, ...] = ()
    """none for all that it has"""


@dataclass(frozen=True)
class CollectImatrix:
    """Compute an importance matrix of a GGUF model over a text file, in windows of `context` tokens. Answered as `Convert`."""

    request: int
    model: str
    text: str
    target: str
    context: int = 512
    chunks: int = 0
    """at most this many windows; 0 for the whole text"""


@dataclass(frozen=True)
class DryRun:
    """Ask llama.cpp what loading a GGUF file would take, without reading weights or allocating anything; answered by `DryRunDone`."""

    request: int
    path: str
    context: ContextSettings = ContextSettings()


@dataclass(frozen=True)
class QuantizeFolder:
    """Write a model folder with its linear layers in bitsandbytes' `nf4` or `int8`. Answered as `Convert`."""

    request: int
    source: str
    target: str
    method: str = "nf4"
    double: bool = True
    """quantize the scales as well (NF4 only)"""


@dataclass(frozen=True)
class Made:
    """A file or folder is whole under its final name. `notes` are sentences the user should read (what was left out, or differs)."""

    request: int
    path: str
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DryRunDone:
    """Answer to `DryRun`: the buffers that the engine would allocate, and the context window it would have, in tokens."""

    request: int
    memory: tuple[MemoryTerm, ...]
    context: int
    gpu_layers: int


@dataclass(frozen=True)
class TypeSize:
    """What a model would be as one type: bytes of the file, mean bits a weight, and tensors that the type does not fit."""

    type: str
    bytes: int
    bits_per_weight: float
    needs_imatrix: bool = False
    fallbacks: int = 0


@dataclass(frozen=True)
class TypesSurveyed:
    """Answer to `SurveyTypes`: the types that this library has, in its own order."""

    request: int
    sizes: tuple[TypeSize, ...]
