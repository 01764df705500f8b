"""Settings: how the window looks, how models are loaded, where the data lies, which keys there are, and what this is made of."""

from __future__ import annotations

import platform
from functools import partial
from importlib import metadata
from typing import Any

from PySide6.QtCore import Qt, QTimer, QUrl, qVersion
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground import __version__
from playground.gui import theme
from playground.gui.actions import CONTROLS, TABLE
from playground.gui.form import Form, line
from playground.gui.pages import Desk
from playground.gui.widgets.keys_overlay import key_text
from playground.paths import resources

WIDTH = 640
CONTEXT = (
    "context",
    "gpu_layers",
    "experts_on_cpu",
    "threads",
    "flash_attention",
    "kv_type_k",
    "kv_type_v",
    "batch",
    "ubatch",
    "sequences",
    "unified_kv",
)
PARTS = ("PySide6-Essentials", "llama-cpp-python", "gguf", "numpy", "sqlite-utils", "jinja2", "pygments", "huggingface-hub")
LICENCES = (
    ("Inter", "SIL Open Font License 1.1", "fonts/OFL-Inter.txt"),
    ("JetBrains Mono", "SIL Open Font License 1.1", "fonts/OFL-JetBrainsMono.txt"),
    ("Lucide icons", "ISC", "icons/LICENSE"),
    ("Qt for Python", "LGPL 3", ""),
)


class SettingsPage(QWidget):
    """Object names: `settings.theme.<mode>`, `settings.text_size.<size>`, `settings.folder.open`, `settings.load.<field>`."""

    title = "Settings"
    icon = "settings"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._sections: dict[str, QWidget] = {}
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        ground = QFrame()
        theme.mark(ground, surface="surface")
        outer.addWidget(ground)
        inner = QVBoxLayout(ground)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(0)
        bar = QFrame()
        bar.setFixedHeight(56)
        title = QLabel("Settings")
        theme.mark(title, role="title")
        row = QHBoxLayout(bar)
        row.setContentsMargins(24, 0, 24, 0)
        row.addWidget(title)
        inner.addWidget(bar)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner.addWidget(self._scroll, 1)
        body = QWidget()
        body.setProperty("scrolled", True)
        sides = QHBoxLayout(body)
        sides.setContentsMargins(24, 8, 24, 32)
        column_holder = QWidget()
        column_holder.setMaximumWidth(WIDTH)
        self._column = QVBoxLayout(column_holder)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(32)
        sides.addWidget(column_holder, 1)
        sides.addStretch(0)
        self._add("appearance", "Appearance", "", self._appearance())
        text = "For models that have no load settings of their own. They take effect when a model is next loaded."
        self._add("load", "Loading models", text, self._load())
        text = "Chats, replies and settings lie here, in files that other programs can read too."
        self._add("data", "Data", text, self._data())
        self._add("keys", "Keys", "", self._keys())
        self._add("about", "About", "", self._about())
        self._column.addStretch(1)
        self._scroll.setWidget(body)
        desk.preferences.subscribe(self._preference_changed)

    def open(self, section: str = "") -> None:
        """Scrolls to a section."""
        target = self._sections.get(section)
        if target is not None:
            QTimer.singleShot(0, self, lambda: self._scroll.verticalScrollBar().setValue(target.y()))

    # -- sections

    def _add(self, name: str, title: str, text: str, content: QWidget) -> None:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        head = QLabel(title)
        theme.mark(head, role="strong")
        column.addWidget(head)
        if text:
            note = QLabel(text)
            note.setWordWrap(True)
            theme.mark(note, role="muted")
            column.addWidget(note)
        column.addSpacing(4)
        column.addWidget(content)
        self._column.addWidget(holder)
        self._sections[name] = holder

    def _appearance(self) -> QWidget:
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(12)
        grid.setHorizontalSpacing(24)
        grid.setColumnMinimumWidth(0, 144)
        grid.setColumnStretch(1, 1)
        self._groups: dict[str, QButtonGroup] = {}
        themes = (
            ("system", "System", "monitor", "Light or dark as the system is, and changing with it"),
            ("light", "Light", "sun", "Always light"),
            ("dark", "Dark", "moon", "Always dark"),
        )
        sizes = (("small", "Small", "", "92 %"), ("normal", "Normal", "", "100 %"), ("large", "Large", "", "116 %"))
        for row, (key, title, choices) in enumerate((("theme", "Theme", themes), ("text_size", "Text size", sizes))):
            label = QLabel(title)
            theme.mark(label, role="small")
            grid.addWidget(label, row, 0)
            grid.addWidget(self._choice(key, title, choices), row, 1)
        return holder

    def _choice(self, key: str, title: str, choices: tuple[tuple[str, str, str, str], ...]) -> QWidget:
        frame = QFrame()
        theme.mark(frame, surface="sunken")
        row = QHBoxLayout(frame)
        row.setContentsMargins(4, 4, 4, 4)
        row.setSpacing(4)
        group = QButtonGroup(frame)
        for value, text, icon, tip in choices:
            button = QToolButton()
            button.setObjectName(f"settings.{key}.{value}")
            button.setProperty("value", value)
            button.setText(text)
            button.setCheckable(True)
            button.setChecked(self._desk.preferences.get(key) == value)
            button.setAccessibleName(f"{title}: {text}")
            button.setToolTip(tip)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            theme.mark(button, role="segment", on_sunken=True)
            if icon:
                theme.bind_icon(button, icon, "muted")
            button.clicked.connect(partial(self._desk.preferences.set, key, value))
            group.addButton(button)
            row.addWidget(button)
        self._groups[key] = group
        holder = QWidget()
        side = QHBoxLayout(holder)
        side.setContentsMargins(0, 0, 0, 0)
        side.addWidget(frame)
        side.addStretch(1)
        return holder

    def _load(self) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        form = Form(self._desk.preferences.context, "settings.load", CONTEXT, sliders=False)
        form.setMaximumWidth(400)
        form.changed.connect(lambda settings: setattr(self._desk.preferences, "context", settings))
        column.addWidget(form)
        problem = QLabel(" ")
        theme.mark(problem, role="bad")
        form.problem.connect(lambda text: problem.setText(text or " "))
        column.addWidget(problem)
        return holder

    def _data(self) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        folder = QLabel(str(self._desk.home.root))
        folder.setObjectName("settings.folder")
        folder.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        folder.setWordWrap(True)
        theme.mark(folder, role="mono")
        column.addWidget(folder)
        show = self._button("Open folder", "settings.folder.open", "folder-open", "Shows the data folder in the file manager")
        show.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._desk.home.root))))
        logs = self._button("Open log files", "settings.logs.open", "file-text", "What the program noted down, for a report")
        logs.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._desk.home.logs))))
        column.addLayout(line(show, logs, 1))
        return holder

    def _keys(self) -> QWidget:
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(8)
        grid.setHorizontalSpacing(24)
        grid.setColumnMinimumWidth(0, 144)
        grid.setColumnStretch(1, 1)
        listed = [(key_text(each.key), each.text.rstrip("…"), each.help) for each in TABLE if each.key]
        listed.append((key_text("Ctrl+1") + " … 6", "Pages", "In the order of the rail"))
        listed += [(key, text, "") for key, text in CONTROLS]
        for row, (key, text, help) in enumerate(listed):
            cap = QLabel(key)
            theme.mark(cap, role="key")
            grid.addWidget(cap, row, 0, Qt.AlignmentFlag.AlignLeft)
            what = QLabel(text)
            what.setToolTip(help)
            theme.mark(what, role="small")
            grid.addWidget(what, row, 1)
        return holder

    def _about(self) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        sentence = QLabel("A workshop for local language models. Nothing leaves this machine unless you ask for it.")
        sentence.setWordWrap(True)
        column.addWidget(sentence)
        versions = QLabel(versions_text())
        versions.setObjectName("settings.versions")
        versions.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        theme.mark(versions, role="mono_small")
        column.addWidget(versions)
        copy = self._button("Copy", "settings.versions.copy", "copy", "Copies the versions, for a report")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(versions_text()))
        column.addLayout(line(copy, 1))
        column.addSpacing(8)
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(4)
        grid.setColumnMinimumWidth(0, 144)
        grid.setColumnStretch(2, 1)
        for row, (name, licence, file) in enumerate(LICENCES):
            title = QLabel(name)
            theme.mark(title, role="small")
            grid.addWidget(title, row, 0)
            kind = QLabel(licence)
            theme.mark(kind, role="muted")
            grid.addWidget(kind, row, 1)
            if file:
                read = QPushButton("Read")
                read.setObjectName(f"settings.licence.{row}")
                read.setAccessibleName(f"Read the licence of {name}")
                read.setToolTip(f"Opens the licence of {name}")
                theme.mark(read, role="link")
                read.clicked.connect(partial(_open_file, str(resources() / file)))
                grid.addWidget(read, row, 2, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(grid)
        return holder

    def _button(self, text: str, name: str, icon: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setToolTip(tip)
        theme.bind_icon(button, icon, "muted")
        return button

    def _preference_changed(self, key: str, value: Any) -> None:
        for button in self._groups[key].buttons() if key in self._groups else ():
            button.setChecked(button.property("value") == value)


def _open_file(path: str) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(path))


def versions_text() -> str:
    """The versions of this program and of what it is made of, a line each."""
    lines = [
        f"{'Playground':<20} {__version__}",
        f"{'Python':<20} {platform.python_version()}",
        f"{'Qt':<20} {qVersion()}",
        f"{'System':<20} {platform.platform(terse=True)}",
    ]
    for name in PARTS:
        try:
            lines.append(f"{name:<20} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return "\n".join(lines)
