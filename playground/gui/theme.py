"""Colours in force, fonts, icons and the style sheet. Knows no page and no widget of ours; the colours themselves are in `palette`.

What a widget asks of it:

    theme.palette().accent          a colour of the palette in force, as "#rrggbb"
    theme.font("small")             "small", "body", "title", "mono", "mono_small"
    theme.icon("copy", "muted")     an icon in a palette colour; `bind_icon(button, "copy")` keeps it tinted when the theme changes
    theme.notifier().changed        the theme or the text size is another one now: repaint what was painted by hand
    theme.probability_color(p)      the one table for probabilities

What a widget says of itself, for the style sheet (`resources/theme/style.qss`), by dynamic properties set before it is shown
(`theme.mark(widget, role="muted")`; a later change is polished by the same function):

    QLabel        role = small | muted | faint | title | heading | mono | mono_small | good | warn | bad
    QPushButton   role = primary | quiet | danger           (none: a plain one)
    QToolButton   (quiet by nature)  role = rail | segment
    QFrame        surface = window | surface | raised | sunken ; line = top | bottom | left | right
"""

from __future__ import annotations

import weakref
from dataclasses import fields
from functools import cache
from typing import Any

import shiboken6
from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QApplication, QPushButton, QToolButton, QWidget

from playground.gui.palette import CIVIDIS, DARK, LIGHT, MEMORY, PANEL, RAIL, STRIP, Palette
from playground.paths import resources

__all__ = ["DARK", "LIGHT", "PANEL", "RAIL", "STRIP", "Palette"]

GRID = 8
RADIUS = 6
"""of controls; surfaces that float take twice that"""
ICON = 16
CONTROL = 32
"""height of a button, a field, a row's controls"""

UI_FAMILY = "Inter"
MONO_FAMILY = "JetBrains Mono"
TEXT_SIZES = {"small": 0.92, "normal": 1.0, "large": 1.16}
_PIXELS = {"small": 12, "body": 14, "title": 18, "mono": 13, "mono_small": 12}


@cache
def _cividis() -> tuple[tuple[int, int, int], ...]:
    stops = [QColor(each) for each in CIVIDIS]
    table = []
    for step in range(256):
        place = step / 255 * (len(stops) - 1)
        low = min(int(place), len(stops) - 2)
        part = place - low
        a, b = stops[low], stops[low + 1]
        pairs = ((a.red(), b.red()), (a.green(), b.green()), (a.blue(), b.blue()))
        red, green, blue = (round(x + (y - x) * part) for x, y in pairs)
        table.append((red, green, blue))
    return tuple(table)


def probability_color(probability: float) -> QColor:
    """The colour of a probability from 0 (deep blue) to 1 (yellow): cividis, the same in light and dark, for colour-blind eyes too."""
    return QColor(*_cividis()[round(max(0.0, min(1.0, probability)) * 255)])


def probability_tint(probability: float) -> QColor:
    """A wash to lay behind text: nothing for a sure token, bluer the more surprising it was. Text on it keeps its contrast."""
    surprise = 1.0 - max(0.0, min(1.0, probability))
    color = QColor("#5b8fd6" if palette().dark else "#3f78c9")
    color.setAlphaF((0.55 if palette().dark else 0.34) * surprise)
    return color


class _Notifier(QObject):
    changed = Signal()


class _State:
    def __init__(self) -> None:
        self.palette = LIGHT
        self.mode = "system"
        self.scale = 1.0
        self.fonts_loaded = False
        self.following = False
        self.notifier: _Notifier | None = None
        self.bound: weakref.WeakKeyDictionary[Any, tuple[str, str, int, int]] = weakref.WeakKeyDictionary()


_state = _State()
_icons: dict[tuple[str, str, int, int, bool], QIcon] = {}
_fonts: dict[str, QFont] = {}


def palette() -> Palette:
    """The palette in force."""
    return _state.palette


def memory_color(term: str) -> str:
    """The colour of what memory is taken by, in the light in force; unknown terms look like the runtime's."""
    return MEMORY.get(term, MEMORY["runtime"])[palette().dark]


def notifier() -> _Notifier:
    """Tells of a change between light and dark, or of the text size."""
    if _state.notifier is None:
        _state.notifier = _Notifier()
    return _state.notifier


# -- fonts


def _load_fonts() -> None:
    if not _state.fonts_loaded:
        _state.fonts_loaded = True
        for file in sorted((resources() / "fonts").glob("*.[ot]tf")):
            QFontDatabase.addApplicationFont(str(file))


def pixels(role: str) -> int:
    """A text role's size in device-independent pixels."""
    return round(_PIXELS[role] * _state.scale)


def font(role: str = "body") -> QFont:
    """A font of the one UI family (`small`, `body`, `title`) or the one monospaced family (`mono`, `mono_small`); digits are tabular."""
    if role not in _fonts:
        made = QFont(MONO_FAMILY if role.startswith("mono") else UI_FAMILY)
        made.setPixelSize(pixels(role))
        made.setStyleHint(QFont.StyleHint.Monospace if role.startswith("mono") else QFont.StyleHint.SansSerif)
        made.setFeature(QFont.Tag("tnum"), 1)
        if role == "title":
            made.setWeight(QFont.Weight.DemiBold)
        if role.startswith("mono"):  # what was typed is what is shown: no ligatures
            made.setFeature(QFont.Tag("calt"), 0)
        _fonts[role] = made
    return QFont(_fonts[role])


# -- icons


def icon(name: str, role: str = "text", size: int = 0, gap: int = 0) -> QIcon:
    """An icon of `resources/icons` in a colour of the palette (`text`, `muted`, `accent`, ...); disabled it is faint.

    Crisp at `size`; without one at 16, 20 and 24 device-independent pixels. `gap` keeps so many pixels free at its right.
    """
    key = (name, role, size, gap, _state.palette.dark)
    if key not in _icons:
        made = QIcon()
        ratios = {1.0, *(screen.devicePixelRatio() for screen in QApplication.screens())}
        for each in (size,) if size else (ICON, 20, 24):
            for ratio in ratios:
                made.addPixmap(pixmap(name, getattr(_state.palette, role), each, ratio, gap))
                made.addPixmap(pixmap(name, _state.palette.faint, each, ratio, gap), QIcon.Mode.Disabled)
        _icons[key] = made
    return _icons[key]


@cache
def _svg(name: str) -> str:
    return (resources() / "icons" / f"{name}.svg").read_text(encoding="utf-8")


def pixmap(name: str, color: str, size: int = ICON, ratio: float = 1.0, gap: int = 0) -> QPixmap:
    """One icon as a picture of `size` device-independent pixels, and `gap` empty ones beside it."""
    from PySide6.QtSvg import QSvgRenderer

    # Lucide is drawn for 24 pixels; a stroke of 2 there becomes 1.5 on the screen at 16 to 20.
    text = _svg(name).replace("currentColor", color).replace('stroke-width="2"', 'stroke-width="1.9"')
    image = QPixmap(QSize(round((size + gap) * ratio), round(size * ratio)))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(QByteArray(text.encode())).render(painter, QRectF(0, 0, size * ratio, size * ratio))
    painter.end()
    image.setDevicePixelRatio(ratio)
    return image


def bind_icon(target: Any, name: str, role: str = "text", size: int = ICON) -> None:
    """Gives a button or an action its icon, and gives it anew whenever the theme changes."""
    # Buttons set their text right behind the icon; the picture brings the distance with it.
    beside = isinstance(target, QPushButton) or (
        isinstance(target, QToolButton) and target.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonTextBesideIcon
    )
    gap = 4 if beside and target.text() and not target.isRightToLeft() else 0
    _state.bound[target] = (name, role, size, gap)
    target.setIcon(icon(name, role, size, gap))
    if hasattr(target, "setIconSize"):
        target.setIconSize(QSize(size + gap, size))


# -- style


def mark(widget: QWidget, **properties: Any) -> QWidget:
    """Sets dynamic properties that the style sheet reads, and styles the widget again if it is shown already. Returns the widget."""
    different = False
    for name, value in properties.items():
        if widget.property(name) != value:
            widget.setProperty(name, value)
            different = True
    if different and widget.testAttribute(Qt.WidgetAttribute.WA_WState_Polished):
        widget.style().unpolish(widget)
        widget.style().polish(widget)
    return widget


def mode() -> str:
    """What was asked for: `system`, `light` or `dark`."""
    return _state.mode


def apply(app: QApplication, mode: str = "system", text_size: str = "normal") -> None:
    """Dresses the application, now and whenever the system turns from light to dark or back."""
    _state.mode = mode
    scale = TEXT_SIZES.get(text_size, 1.0)
    if not _state.fonts_loaded:
        _load_fonts()
        if app.style().name().lower() != "fusion":
            app.setStyle("Fusion")
    hints = app.styleHints()
    if not _state.following:
        _state.following = True
        hints.colorSchemeChanged.connect(lambda _scheme: _dress(app, force=False))
    schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    hints.setColorScheme(schemes.get(mode, Qt.ColorScheme.Unknown))
    rescaled = scale != _state.scale
    _state.scale = scale
    _dress(app, force=rescaled or not app.styleSheet())


def _dress(app: QApplication, force: bool) -> None:
    dark = app.styleHints().colorScheme() == Qt.ColorScheme.Dark if _state.mode == "system" else _state.mode == "dark"
    wanted = DARK if dark else LIGHT
    if wanted is _state.palette and not force:
        return
    _state.palette = wanted
    _fonts.clear()
    app.setFont(font("body"))
    app.setPalette(_qt_palette(wanted))
    app.setStyleSheet(style_sheet())
    for target, (name, role, size, gap) in list(_state.bound.items()):
        if shiboken6.isValid(target):
            target.setIcon(icon(name, role, size, gap))
        else:
            del _state.bound[target]
    notifier().changed.emit()


def _qt_palette(colors: Palette) -> QPalette:
    made = QPalette()
    roles = {
        QPalette.ColorRole.Window: colors.window,
        QPalette.ColorRole.WindowText: colors.text,
        QPalette.ColorRole.Base: colors.surface,
        QPalette.ColorRole.AlternateBase: colors.window,
        QPalette.ColorRole.Text: colors.text,
        QPalette.ColorRole.Button: colors.raised,
        QPalette.ColorRole.ButtonText: colors.text,
        QPalette.ColorRole.BrightText: colors.accent_text,
        QPalette.ColorRole.ToolTipBase: colors.raised,
        QPalette.ColorRole.ToolTipText: colors.text,
        QPalette.ColorRole.PlaceholderText: colors.muted,
        QPalette.ColorRole.Highlight: colors.selection,
        QPalette.ColorRole.HighlightedText: colors.text,
        QPalette.ColorRole.Link: colors.accent,
        QPalette.ColorRole.LinkVisited: colors.accent,
        QPalette.ColorRole.Accent: colors.accent,
        QPalette.ColorRole.Light: colors.raised,
        QPalette.ColorRole.Midlight: colors.hover,
        QPalette.ColorRole.Mid: colors.line,
        QPalette.ColorRole.Dark: colors.line,
        QPalette.ColorRole.Shadow: "#000000",
    }
    for role, color in roles.items():
        made.setColor(role, QColor(color))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText, QPalette.ColorRole.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(colors.faint))
    return made


def style_sheet() -> str:
    """The style sheet with the palette, the sizes and the file names put in for its `@words`."""
    folder = resources() / "theme"
    text = (folder / "style.qss").read_text(encoding="utf-8")
    words: dict[str, str] = {
        each.name: str(getattr(_state.palette, each.name)) for each in fields(Palette) if each.name != "dark"
    }
    words |= {f"{role}_px": f"{pixels(role)}px" for role in _PIXELS}
    words |= {"ui": UI_FAMILY, "mono_family": MONO_FAMILY, "radius": f"{RADIUS}px"}
    words["pictures"] = (folder / ("dark" if _state.palette.dark else "light")).as_posix()
    for name in sorted(words, key=len, reverse=True):
        text = text.replace(f"@{name}", words[name])
    return text
