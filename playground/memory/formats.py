"""Number formats a cache can be kept in: bytes per element. (A test holds them against the GGUF reader's table.)"""

from __future__ import annotations

KV_BYTES: dict[str, float] = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Blocks of 32 elements with their scales, as ggml stores them (ggml-common.h)."""
