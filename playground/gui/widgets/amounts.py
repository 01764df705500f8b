"""Sizes, counts and times as this window writes them: short, with units, always the same way."""

from __future__ import annotations


def amount(nbytes: float) -> str:
    """Bytes of memory in binary units, as `memory.words` writes them in its sentences (a test holds the two together).

    Written again here because that package brings the whole arithmetic, which a page need not wait for.
    """
    value, unit = float(nbytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1000 or unit == "TiB":
            break
        value /= 1024
    digits = 0 if unit == "B" or abs(value) >= 100 else (1 if abs(value) >= 10 else 2)
    return f"{value:.{digits}f} {unit}"


def size(nbytes: float) -> str:
    """Bytes of a file, in decimal units as file managers and the hub write them: `4.4 GB`."""
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= power * 0.9995:
            value = nbytes / power
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{nbytes:.0f} B"


def count(number: float) -> str:
    """A large number: `7.2B`, `410M`, `12k`."""
    for unit, power in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= power * 0.9995:
            value = number / power
            return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}".removesuffix(".0") + unit
    return f"{number:.0f}" if number else ""


def tokens(number: int) -> str:
    """A context window: `128k`, `4k`, as people say it; one that is no multiple of 1,024 in full."""
    if number >= 1024 and number % 1024 == 0:
        return f"{number // 1024:,}k"
    return f"{number:,}" if number else ""


def duration(seconds: float) -> str:
    """A time that is left: `2 min 5 s`."""
    whole = max(0, round(seconds))
    if whole >= 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
