"""The types that llama.cpp quantizes to: names, what to expect of each, and the size of a file before there is one.

Sizes are estimates here, from a table of tensors and the mixture of formats that each type stands for; the quantizer itself knows exact ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from playground.models.ggml_types import BY_NAME, FILE_TYPES, row_bytes


@dataclass(frozen=True)
class FileType:
    """One type of a whole file. `layers`, `output`, `embedding`: bits a weight of the layers' matrices and of the two outer ones.

    `loss` and `kl` are what the type cost a Llama 3 of 8 billion weights: perplexity on WikiText-2 in per cent more, and mean KL divergence
    in nats; with an importance matrix where the type is used with one (-1: not measured). Source: llama.cpp, tools/perplexity/README.md.
    """

    name: str
    layers: float
    output: float
    embedding: float
    about: str
    loss: float = -1.0
    kl: float = -1.0
    with_imatrix: bool = False
    """worth using only with an importance matrix"""
    special: bool = False
    """for models that were trained for it"""


_Q6, _Q5, _Q8 = 6.5625, 5.5, 8.5

TYPES: dict[str, FileType] = {
    each.name: each
    for each in (
        FileType("F32", 32, 32, 32, "lossless, four bytes a weight", 0.0, 0.0),
        FileType("BF16", 16, 16, 16, "lossless where the model was trained in it", 0.0, 0.0),
        FileType("F16", 16, 16, 16, "practically lossless", 0.02, 0.0006),
        FileType("Q8_0", _Q8, _Q8, _Q8, "practically lossless, half the size", 0.04, 0.0014),
        FileType("Q6_K", _Q6, _Q6, _Q6, "hardly to be told from the original", 0.35, 0.0055),
        FileType("Q5_K_M", 5.67, _Q6, _Q5, "very good", 0.9, 0.011),
        FileType("Q5_K_S", 5.5, _Q6, _Q5, "very good", 1.7, 0.017),
        FileType("Q5_1", 6.0, _Q6, 6.0, "good; older format", 1.7, 0.018),
        FileType("Q5_0", 5.5, _Q6, 5.5, "good; older format", 2.1, 0.022),
        FileType("Q4_K_M", 4.83, _Q6, 4.5, "good, the usual choice", 2.8, 0.031),
        FileType("Q4_K_S", 4.57, _Q6, 4.5, "good, a little smaller", 4.3, 0.043),
        FileType("IQ4_NL", 4.54, _Q6, 4.5, "good with an importance matrix", 3.6, 0.036, with_imatrix=True),
        FileType("IQ4_XS", 4.30, _Q6, 4.25, "good with an importance matrix", 3.7, 0.036, with_imatrix=True),
        FileType("Q4_1", 5.0, _Q6, 5.0, "fair; older format", 7.2, 0.072),
        FileType("Q4_0", 4.5, _Q6, 4.5, "fair; older format, quick on many processors", 7.5, 0.072),
        FileType("MXFP4_MOE", _Q8, _Q8, _Q8, "four bits for experts, eight for the rest", special=True),
        FileType("Q3_K_L", 4.22, _Q6, 3.4375, "noticeably worse", 8.9, 0.087),
        FileType("Q3_K_M", 3.88, _Q6, 3.4375, "noticeably worse", 10.5, 0.102),
        FileType("IQ3_M", 3.71, _Q6, 3.4375, "noticeably worse", 10.7, 0.103, with_imatrix=True),
        FileType("IQ3_S", 3.48, _Q6, 3.4375, "noticeably worse", 11.8, 0.111, with_imatrix=True),
        FileType("IQ3_XS", 3.28, _Q6, 3.4375, "noticeably worse", 14.9, 0.139, with_imatrix=True),
        FileType("IQ3_XXS", 3.07, _Q5, 3.4375, "much worse, for large models in little memory", 19.7, 0.184, with_imatrix=True),
        FileType("Q3_K_S", 3.4375, _Q6, 3.4375, "much worse", 26.2, 0.228),
        FileType("IQ2_M", 2.68, _Q5, 3.4375, "a great deal worse", 38.0, 0.326, with_imatrix=True),
        FileType("Q2_K", 3.0, _Q6, 2.625, "a great deal worse", 56.0, 0.445),
        FileType("Q2_K_S", 2.65, _Q6, 2.625, "a great deal worse", 49.6, 0.403, with_imatrix=True),
        FileType("IQ2_S", 2.47, _Q5, 3.4375, "a great deal worse", 54.9, 0.439, with_imatrix=True),
        FileType("IQ2_XS", 2.34, _Q5, 2.625, "hardly usable", 72.7, 0.546, with_imatrix=True),
        FileType("IQ2_XXS", 2.11, _Q5, 2.625, "hardly usable", 126.0, 0.812, with_imatrix=True),
        FileType("IQ1_M", 1.85, _Q5, 2.625, "broken for most models", 309.0, 1.393, with_imatrix=True),
        FileType("IQ1_S", 1.68, _Q5, 2.625, "broken for most models", 832.0, 2.211, with_imatrix=True),
        FileType("TQ2_0", 2.0625, _Q6, 4.5, "only for models trained with ternary weights", special=True),
        FileType("TQ1_0", 1.6875, _Q6, 4.5, "only for models trained with ternary weights", special=True),
        FileType("Q2_0", 2.25, _Q6, 4.5, "only for models trained for two bits", special=True),
        FileType("Q1_0", 1.125, _Q6, 1.125, "only for models trained with binary weights", special=True),
    )
}
"""In order of what they cost, dearest in bits first."""

ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4": "MXFP4_MOE"}

NUMBERS: dict[str, int] = {ALIASES.get(name, name) if name == "MXFP4" else name: number for number, name in FILE_TYPES.items()}
"""the type's name -> llama.cpp's number of it (`llama_ftype`)"""

TENSOR_TYPES = tuple(name.upper() for name in BY_NAME if name[0] != "i" or name.startswith("iq"))


def type_name(text: str) -> str:
    """The name that a person meant, as llama.cpp writes it; empty if there is no such type."""
    wanted = text.strip().upper().replace("-", "_")
    wanted = ALIASES.get(wanted, wanted)
    return wanted if wanted in TYPES else ""


def estimated_size(tensors: Iterable[tuple[str, tuple[int, ...]]], kind: str, tied: bool | None = None) -> int:
    """Bytes of a model's weights as that type, from names (GGUF's or Hugging Face's) and shapes (fastest axis first), within a few per cent.

    `tied`: the token table serves as the output matrix too; None to see it in the names.
    """
    table = list(tensors)
    found = TYPES[kind]
    if tied is None:
        tied = not any(_OUTPUT.search(name) for name, _ in table)
    total = 0.0
    for name, shape in table:
        rows = 1
        for length in shape[1:]:
            rows *= length
        if len(shape) < 2 or _PLAIN.search(name):
            total += 4 * shape[0] * rows if shape else 4
        elif _OUTPUT.search(name) or (tied and _EMBEDDING.search(name)):
            total += rows * _row(shape[0], found.output)
        elif _EMBEDDING.search(name):
            total += rows * _row(shape[0], found.embedding)
        else:
            total += rows * _row(shape[0], 4.25 if kind == "MXFP4_MOE" and len(shape) > 2 else found.layers)
    return int(total)


def _row(columns: int, bits: float) -> float:
    """Bytes of a row; where whole blocks of 256 do not fit, the quantizer takes a format with blocks of 32 and more bits."""
    if bits >= 16 or columns % 256 == 0:
        return columns * bits / 8
    wider = next(each for limit, each in ((2.0, 4.5), (4.0, 4.5), (5.0, 5.5), (6.0, 6.0), (99.0, 8.5)) if bits <= limit)
    return row_bytes(BY_NAME["q8_0"], columns) * wider / 8.5 if columns % 32 == 0 else columns * 2


_OUTPUT = re.compile(r"^output\.weight$|^lm_head\.weight$|(^|\.)embed_out\.weight$")
_EMBEDDING = re.compile(
    r"token_embd\.weight$|embed_tokens\.weight$|(^|\.)wte\.weight$|word_embeddings\.weight$|tok_embeddings\.weight$"
)
_PLAIN = re.compile(r"norm|ffn_gate_inp\.|\.(bias|router|gate)(\.weight)?$|wpe\.weight$|position")

__all__ = ["ALIASES", "NUMBERS", "TENSOR_TYPES", "TYPES", "FileType", "estimated_size", "type_name"]
