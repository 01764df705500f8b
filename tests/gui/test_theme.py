"""One palette in two lights: readable, complete, and changed without a restart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtGui import QColor, QFont, QFontInfo
from PySide6.QtWidgets import QPushButton

import playground.gui
from playground.gui import theme
from playground.paths import resources


def luminance(color: str) -> float:
    parts = [each / 255 for each in QColor(color).getRgb()[:3]]
    linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it, from 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_is_readable_on_every_surface(colors: theme.Palette) -> None:
    for ground in (
        colors.window,
        colors.surface,
        colors.raised,
        colors.sunken,
        colors.hover,
        colors.user_bubble,
        colors.code_bg,
    ):
        for ink in (colors.text, colors.muted):
            assert contrast(ink, ground) >= 4.5, (ink, ground)
    for ground in (colors.window, colors.surface, colors.raised):
        for ink in (colors.accent, colors.good, colors.warn, colors.bad):
            assert contrast(ink, ground) >= 4.5, (ink, ground)
    for ink in (colors.syn_keyword, colors.syn_string, colors.syn_comment, colors.syn_number, colors.syn_name):
        assert contrast(ink, colors.code_bg) >= 4.5, ink
    for ground in (colors.bad_soft, colors.warn_soft, colors.accent_soft, colors.selection):
        assert contrast(colors.text, ground) >= 4.5, ground
    assert contrast(colors.accent_text, colors.accent) >= 4.5
    assert contrast(colors.accent, colors.accent_soft) >= 4.0


def test_light_and_dark_are_changed_at_once(dressed, qtbot) -> None:
    button = QPushButton("x")
    qtbot.addWidget(button)
    theme.bind_icon(button, "copy")
    before = button.icon().cacheKey()
    with qtbot.waitSignal(theme.notifier().changed):
        theme.apply(dressed, "dark")
    assert theme.palette().dark
    assert dressed.palette().window().color() == QColor(theme.DARK.window)
    assert button.icon().cacheKey() != before
    theme.apply(dressed, "light")
    assert not theme.palette().dark


def test_the_text_size_is_one_factor(dressed) -> None:
    usual = theme.font("body").pixelSize()
    theme.apply(dressed, "light", "large")
    assert theme.font("body").pixelSize() > usual
    theme.apply(dressed, "light", "normal")
    assert theme.font("body").pixelSize() == usual


def test_the_bundled_fonts_are_used(dressed) -> None:
    assert QFontInfo(theme.font("body")).family() == "Inter"
    assert QFontInfo(theme.font("mono")).family() == "JetBrains Mono"
    assert theme.font("small").isFeatureSet(QFont.Tag("tnum"))
    assert theme.font("small").pixelSize() < theme.font("body").pixelSize() < theme.font("title").pixelSize()
    assert (resources() / "fonts" / "OFL-Inter.txt").is_file()
    assert (resources() / "fonts" / "OFL-JetBrainsMono.txt").is_file()
    size = sum(each.stat().st_size for each in (resources() / "fonts").iterdir())
    assert size < 3_000_000


def test_every_word_of_the_style_sheet_is_known(dressed) -> None:
    assert not re.findall(r"@\w+", theme.style_sheet().partition("*/")[2])


def test_only_icons_that_are_used_are_shipped() -> None:
    source = "\n".join(each.read_text(encoding="utf-8") for each in Path(playground.gui.__file__).parent.rglob("*.py"))
    for file in (resources() / "icons").glob("*.svg"):
        if file.stem != "app":
            assert f'"{file.stem}"' in source, f"{file.name} is used nowhere"


def test_probability_colours_grow_lighter(dressed) -> None:
    steps = [luminance(theme.probability_color(each / 10).name()) for each in range(11)]
    assert steps == sorted(steps)
    assert theme.probability_tint(1.0).alpha() == 0
    assert theme.probability_tint(0.0).alpha() > 60


def test_every_icon_that_is_named_is_shipped() -> None:
    names = set()
    for file in Path(playground.gui.__file__).parent.rglob("*.py"):
        names |= set(
            re.findall(r'(?:bind_icon\([\w.]+|theme\.icon\(|pixmap\()(?:, )?"([a-z0-9-]+)"', file.read_text(encoding="utf-8"))
        )
    assert len(names) > 10
    for name in names:
        assert (resources() / "icons" / f"{name}.svg").is_file(), name
