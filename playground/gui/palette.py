"""The colours, all of them, in two lights. Imports nothing of Qt: they are needed before there is time for it."""

from __future__ import annotations

from dataclasses import dataclass

RAIL = 64
LIST = 248
"""width of the list of chats"""
STRIP = 32
"""height of the job strip"""
PANEL = 296
"""width of the sampling panel"""
LAB = 424
LAB_LEAST = 300
"""width of the decoding lab, and what it shrinks to in a narrow window"""


@dataclass(frozen=True, eq=False, repr=False)  # made while a window is waited for
class Palette:
    """Colours by what they are for, as `#rrggbb`."""

    dark: bool
    window: str
    """rail, panels, bars"""
    surface: str
    """where content is read"""
    raised: str
    """buttons, what floats"""
    sunken: str
    """fields, tracks"""
    hover: str
    pressed: str
    line: str
    text: str
    muted: str
    """secondary text, still WCAG AA on every surface"""
    faint: str
    """disabled, decoration; never the only carrier of a meaning"""
    accent: str
    """what can be pressed, what is running"""
    accent_text: str
    """on top of accent"""
    accent_hover: str
    accent_soft: str
    """a wash of the accent: selected rows, the open page"""
    selection: str
    good: str
    warn: str
    bad: str
    bad_soft: str
    warn_soft: str
    code_bg: str
    user_bubble: str
    syn_keyword: str
    syn_string: str
    syn_comment: str
    syn_number: str
    syn_name: str


LIGHT = Palette(
    dark=False,
    window="#f1f3f4",
    surface="#fcfcfd",
    raised="#ffffff",
    sunken="#e6e9eb",
    hover="#e4e8ea",
    pressed="#d8dde0",
    line="#d9dee1",
    text="#1a2024",
    muted="#566169",
    faint="#8d979e",
    accent="#0b756f",
    accent_text="#ffffff",
    accent_hover="#0a6862",
    accent_soft="#d9ecea",
    selection="#bfe0dd",
    good="#2a7a3b",
    warn="#8a5a00",
    bad="#b3261e",
    bad_soft="#fae7e5",
    warn_soft="#f8eed8",
    code_bg="#eff2f3",
    user_bubble="#e9edef",
    syn_keyword="#8437a8",
    syn_string="#2c6e2f",
    syn_comment="#647079",
    syn_number="#a04a00",
    syn_name="#1d5fa8",
)

DARK = Palette(
    dark=True,
    window="#15191c",
    surface="#1b2024",
    raised="#262c31",
    sunken="#0f1315",
    hover="#2a3136",
    pressed="#333b41",
    line="#2d343a",
    text="#e4e8ea",
    muted="#9faab1",
    faint="#6c767d",
    accent="#4cc2b6",
    accent_text="#06201d",
    accent_hover="#66d0c5",
    accent_soft="#1c3b39",
    selection="#245450",
    good="#7ac489",
    warn="#e3b04f",
    bad="#f2887f",
    bad_soft="#3d2423",
    warn_soft="#382e1b",
    code_bg="#14181b",
    user_bubble="#272e33",
    syn_keyword="#cf9bea",
    syn_string="#97ce8f",
    syn_comment="#8b969d",
    syn_number="#eba96c",
    syn_name="#82b7f0",
)

MEMORY = {
    "weights": ("#0072b2", "#4aa3df"),
    "kv_cache": ("#e69f00", "#efb43c"),
    "compute": ("#009e73", "#2fbf96"),
    "output": ("#cc79a7", "#dd93bb"),
    "adapter": ("#56b4e9", "#86cbf2"),
    "gradients": ("#d55e00", "#ea7f2c"),
    "optimizer": ("#cc79a7", "#dd93bb"),
    "activations": ("#009e73", "#2fbf96"),
    "runtime": ("#7c868c", "#8b959b"),
}
"""what memory is taken by -> its colour in light and in dark (Okabe and Ito's, which colour-blind eyes tell apart)"""

CURVES = (
    ("#0072b2", "#4aa3df"),
    ("#d55e00", "#ea7f2c"),
    ("#009e73", "#2fbf96"),
    ("#cc79a7", "#dd93bb"),
    ("#b07a00", "#efb43c"),
    ("#7c868c", "#8b959b"),
)
"""lines of a plot in their order, in light and in dark (Okabe and Ito's)"""

CIVIDIS = (
    "#00224e", "#0f3266", "#35456c", "#4b576d", "#5e696e", "#707a72", "#848c78", "#999f78", "#aeb272", "#c5c56b", "#dcd95a", "#fee838",
)  # fmt: skip
"""the table for probabilities, from 0 to 1 in equal steps"""
