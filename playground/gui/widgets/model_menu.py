"""The card below the model picker: models at hand, a file dialog, and how the next load goes about it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground import events
from playground.gui import theme
from playground.gui.form import Form, line
from playground.gui.preferences import Preferences, is_starter
from playground.gui.widgets.adapter_choice import AdapterChoice

WIDTH = 400
ROW = 48
SHOWN_ROWS = 5
PATH = Qt.ItemDataRole.UserRole
DETAIL = Qt.ItemDataRole.UserRole + 1
CURRENT = Qt.ItemDataRole.UserRole + 2
SETTINGS = ("context", "gpu_layers", "threads", "flash_attention", "kv_type_k", "kv_type_v", "batch", "ubatch")
FOLDER_SETTINGS = ("context", "precision", "threads")
"""of a model folder, which transformers runs"""


class _Delegate(QStyledItemDelegate):
    """Two lines and a check mark."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        colors = theme.palette()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.accent_soft if selected else colors.hover))
            painter.drawRoundedRect(option.rect, theme.RADIUS, theme.RADIUS)
        if index.data(CURRENT):
            theme.icon("check", "accent", 16).paint(
                painter, QRect(option.rect.left() + 8, option.rect.center().y() - 7, 16, 16)
            )
        box = option.rect.adjusted(32, 6, -8, -6)
        painter.setFont(theme.font("body"))
        painter.setPen(QColor(colors.text))
        metrics = painter.fontMetrics()
        text = metrics.elidedText(str(index.data()), Qt.TextElideMode.ElideMiddle, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignTop, text)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.muted))
        text = painter.fontMetrics().elidedText(str(index.data(DETAIL)), Qt.TextElideMode.ElideMiddle, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignBottom, text)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(WIDTH - 32, ROW)


class ModelMenu(QFrame):
    """`load_wanted(path or "starter")`, `file_wanted`, `folder_wanted`, `unload_wanted`, `reload_wanted`, and for the adapter of the loaded
    model `adapter_wanted(path)` (empty: none) and `adapter_folder_wanted`. Closes by itself.
    """

    load_wanted = Signal(str)
    adapter_wanted = Signal(str)
    adapter_folder_wanted = Signal()
    file_wanted = Signal()
    folder_wanted = Signal()
    unload_wanted = Signal()
    reload_wanted = Signal()

    def __init__(self, state: events.ModelState, preferences: Preferences, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("models.menu")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAccessibleName("Models")
        self.setFixedWidth(WIDTH)
        theme.mark(self, surface="raised")
        self._preferences = preferences
        self._state = state
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addWidget(self._trouble_card())
        self.list = self._make_list()
        column.addWidget(self.list)
        column.addLayout(self._buttons())
        self.adapter = AdapterChoice()
        for choice, wanted in (
            (self.adapter.chosen, self.adapter_wanted),
            (self.adapter.other_wanted, self.adapter_folder_wanted),
        ):
            choice.connect(lambda *_: self.close())
            choice.connect(wanted)
        column.addWidget(self.adapter)
        self._settings_button = self._make_settings_button()
        column.addWidget(self._settings_button)
        self._settings: QWidget | None = None
        self.show_state(state)

    # -- parts

    def _trouble_card(self) -> QWidget:
        self._trouble = QFrame()
        theme.mark(self._trouble, notice="error")
        column = QVBoxLayout(self._trouble)
        column.setContentsMargins(12, 8, 12, 12)
        column.setSpacing(8)
        self._sentence = QLabel()
        self._sentence.setWordWrap(True)
        self._sentence.setTextFormat(Qt.TextFormat.PlainText)
        theme.mark(self._sentence, role="small")
        column.addWidget(self._sentence)
        again = QPushButton("Load again")
        again.setObjectName("models.reload")
        again.setAccessibleName("Load again")
        again.setToolTip("Loads the same model once more, with the same settings")
        again.clicked.connect(self.close)
        again.clicked.connect(self.reload_wanted)
        column.addLayout(line(again, 1))
        return self._trouble

    def _make_list(self) -> QListWidget:
        view = QListWidget()
        view.setObjectName("models.recent")
        view.setAccessibleName("Models at hand")
        view.setToolTip("Enter loads the model, Delete takes it off the list")
        view.setMouseTracking(True)
        view.setItemDelegate(_Delegate(view))
        view.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        theme.mark(view, floating=True)
        current = self._state.path
        for path in ("starter", *self._preferences.get("recent_models")):
            item = QListWidgetItem("Starter" if path == "starter" else _name(path))
            item.setData(PATH, path)
            item.setData(DETAIL, _detail(path))
            same = is_starter(current) if path == "starter" else path == current
            item.setData(CURRENT, self._state.state == "ready" and same)
            view.addItem(item)
        view.setCurrentRow(0)
        view.setFixedHeight(min(SHOWN_ROWS, view.count()) * ROW + 2)
        view.itemClicked.connect(self._choose)
        view.itemActivated.connect(self._choose)
        return view

    def _buttons(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(0)
        self._unload = QPushButton("Unload")
        for button, name, icon, tip, signal in (
            (QPushButton("Open GGUF file…"), "models.open", "folder-open", "Any GGUF file on this machine", self.file_wanted),
            (
                QPushButton("Open model folder…"),
                "models.open_folder",
                "boxes",
                "A folder in Hugging Face layout (safetensors), run by transformers",
                self.folder_wanted,
            ),
            (self._unload, "models.unload", "power", "Frees the model's memory", self.unload_wanted),
        ):
            button.setObjectName(name)
            button.setAccessibleName(button.text().rstrip("…"))
            button.setToolTip(tip)
            theme.mark(button, role="item")
            theme.bind_icon(button, icon, "muted")
            button.clicked.connect(self.close)
            button.clicked.connect(signal)
            column.addWidget(button)
        return column

    def _make_settings_button(self) -> QToolButton:
        button = QToolButton()
        button.setObjectName("models.settings")
        button.setText("Load settings")
        button.setAccessibleName("Load settings")
        button.setToolTip("Context window, cache and devices, for the next time this model is loaded")
        button.setCheckable(True)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.mark(button, role="section", inset=True)
        theme.bind_icon(button, "chevron-right", "muted")
        button.toggled.connect(self._show_settings)
        return button

    def _show_settings(self, shown: bool) -> None:
        theme.bind_icon(self._settings_button, "chevron-down" if shown else "chevron-right", "muted")
        if self._settings is None:
            self._settings = self._make_settings()
            layout = self.layout()
            assert layout is not None
            layout.addWidget(self._settings)
        self._settings.setVisible(shown)
        self.adjustSize()
        QTimer.singleShot(0, self, self.adjustSize)

    def _make_settings(self) -> QWidget:
        target = self._target()
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(8, 0, 8, 8)
        column.setSpacing(8)
        inner = QWidget()
        inner.setProperty("scrolled", True)
        inner_column = QVBoxLayout(inner)
        inner_column.setContentsMargins(0, 0, 8, 0)
        form = Form(self._preferences.context_for(target), "load", _settings_of(target), sliders=False)
        form.changed.connect(lambda settings: self._preferences.set_context_for(target, settings))
        inner_column.addWidget(form)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inner)
        scroll.setFixedHeight(min(264, form.sizeHint().height() + 8))
        column.addWidget(scroll)
        problem = QLabel(" ")
        problem.setWordWrap(True)
        theme.mark(problem, role="bad")
        form.problem.connect(lambda text: problem.setText(text or " "))
        column.addWidget(problem)
        load = QPushButton("Load with these settings")
        load.setObjectName("models.load")
        load.setAccessibleName("Load with these settings")
        load.setToolTip("Loads the model anew; the chat stays as it is")
        theme.mark(load, role="primary")
        load.clicked.connect(self.close)
        load.clicked.connect(lambda: self.load_wanted.emit(target))
        column.addWidget(load)
        return holder

    def _target(self) -> str:
        """The model that the settings are for: the loaded one, else the one under the cursor."""
        if is_starter(self._state.path):
            return "starter"
        return self._state.path or str(self.list.currentItem().data(PATH))

    # -- state

    def show_state(self, state: events.ModelState) -> None:
        self._state = state
        broken = state.state in ("failed", "lost")
        self._trouble.setVisible(broken)
        if broken:
            self._sentence.setText(f"{state.message} {state.hint}".strip())
        self._unload.setEnabled(state.state in ("ready", "loading"))
        self.adapter.setVisible(state.state == "ready")
        if state.info is not None:
            self.adapter.show_adapters(self.adapter.paths(), state.info.adapter)
        self.adjustSize()

    def _choose(self, item: QListWidgetItem) -> None:
        path = str(item.data(PATH))
        self.close()
        self.load_wanted.emit(path)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        item = self.list.currentItem()
        if event.key() == Qt.Key.Key_Delete and item is not None and item.data(PATH) != "starter":
            self._preferences.forget_model(str(item.data(PATH)))
            self.list.takeItem(self.list.row(item))
            return
        super().keyPressEvent(event)


def _name(path: str) -> str:
    where = Path(path)
    if where.parent.name == "snapshots":  # of the Hugging Face cache
        return where.parent.parent.name.removeprefix("models--").rpartition("--")[2]
    return where.stem if where.suffix.lower() == ".gguf" else where.name


def _settings_of(target: str) -> tuple[str, ...]:
    return FOLDER_SETTINGS if target != "starter" and not target.lower().endswith(".gguf") else SETTINGS


def _detail(path: str) -> str:
    if path == "starter":
        return "Small, comes with the program"
    try:
        if Path(path).is_dir():
            return f"Folder  ·  {Path(path).parent}"
        size = Path(path).stat().st_size
    except OSError:
        return f"Not there any more  ·  {Path(path).parent}"
    shown = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
    return f"{shown}  ·  {Path(path).parent}"
