"""Amounts of memory as people read them."""

from __future__ import annotations


def amount(nbytes: float) -> str:
    """Bytes in binary units with three digits: 4.37 GiB, 812 MiB."""
    value, unit = float(nbytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1000 or unit == "TiB":
            break
        value /= 1024
    digits = 0 if unit == "B" or abs(value) >= 100 else (1 if abs(value) >= 10 else 2)
    return f"{value:.{digits}f} {unit}"
