"""What models lost against an original: how it is asked for, and a row of the answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QualityRow:
    """What one model lost against an original, on one text. Means over `tokens` predicted positions; logarithms are natural."""

    path: str
    name: str
    quantization: str
    size: int
    """bytes on disk"""
    bits_per_weight: float
    perplexity: float
    perplexity_error: float
    """standard error of the perplexity"""
    kl_divergence: float
    """mean of KL(original || this) over positions, in nats; 0 for the original itself"""
    kl_error: float
    """standard error of that mean"""
    kl_p99: float
    top1_agreement: float
    """fraction of positions at which both find the same token likeliest"""
    tokens: int
    prompt_tokens_per_s: float
    decode_tokens_per_s: float
    resident: int
    """bytes of main memory it took"""
    log_ratio: float = 0.0
    """ln(perplexity / the original's): mean over positions"""
    log_ratio_error: float = 0.0
    """standard error of that mean: a ratio within it says nothing, however small the perplexities' own errors look"""


@dataclass(frozen=True)
class MeasureQuality:
    """Compare models with an original on a text file: perplexity, KL divergence, top-1 agreement, speed, memory.

    Answered by `Progress`, a `QualityMeasured` for the original first and then for each of `models`, and `Finished`.
    """

    request: int
    original: str
    models: tuple[str, ...]
    text: str
    context: int = 512
    chunks: int = 0
    """at most this many windows; 0 for the whole text"""
    special: bool = False
    """recognise control tokens in the text"""
    base: str = ""
    """a folder for the original's logits: written if it has none yet, else read in place of running the original, which gets no row then"""


@dataclass(frozen=True)
class QualityMeasured:
    request: int
    row: QualityRow
