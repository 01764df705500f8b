"""The left side of the Chat page: new chat, search, and all chats by day. It says what was asked for; the page does it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.chat_list_delegate import ChatListDelegate
from playground.gui.widgets.chat_list_model import ROW, ChatListModel, ListRow
from playground.gui.widgets.icon_button import icon_button

WIDTH = 248


class ChatList(QFrame):
    """See the module's docstring."""

    new_wanted = Signal()
    opened = Signal(str, str)
    """a chat, and the message in it that a search found (or nothing)"""
    searched = Signal(str)
    renamed = Signal(str, str)
    deleted = Signal(str)
    export_wanted = Signal(str, str)
    """a chat and `md` or `json`"""
    hidden = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("chats")
        self.setFixedWidth(WIDTH)
        theme.mark(self, surface="window", line="right")
        self.model = ChatListModel(self)
        self.view = QListView()
        self.view.setObjectName("chat.list")
        self.view.setAccessibleName("Chats")
        self.view.setModel(self.model)
        self._delegate = ChatListDelegate(self.model, self.view)
        self.view.setItemDelegate(self._delegate)
        self.view.setMouseTracking(True)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.setLayoutMode(QListView.LayoutMode.Batched)
        self.view.setBatchSize(200)
        self.search = QLineEdit()
        self.search.setObjectName("chat.search")
        self.search.setAccessibleName("Search all chats")
        self.search.setPlaceholderText("Search all chats")
        self.search.setToolTip("Finds words in everything that was said (Ctrl+K)")
        self.search.setClearButtonEnabled(True)
        self.search.addAction(theme.icon("search", "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.new = icon_button("chat.new", "message-square-plus", "New chat (Ctrl+N)", "New chat")
        self.fold = icon_button("chat.list.hide", "panel-left", "Hides the list of chats", "Hide the list of chats")
        self.empty = QLabel()
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.empty.setContentsMargins(16, 12, 16, 0)
        theme.mark(self.empty, role="muted")
        self._build()
        self._timer = QTimer(self, singleShot=True, interval=120)
        self._timer.timeout.connect(lambda: self.searched.emit(self.search.text().strip()))
        self.search.textChanged.connect(lambda _text: self._timer.start())
        self.search.installEventFilter(self)
        self.view.installEventFilter(self)
        self.view.clicked.connect(self._open)
        self.view.activated.connect(self._open)
        self.view.customContextMenuRequested.connect(self._menu_at)
        self.new.clicked.connect(self.new_wanted)
        self.fold.clicked.connect(self.hidden)
        self._delegate.renamed.connect(self.renamed)
        self.model.modelReset.connect(self._reselect)
        self.model.modelReset.connect(self.show_empty)
        theme.notifier().changed.connect(self._restyle)
        self.show_empty()
        self._restyle()

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(16, 8, 8, 4)
        head.setSpacing(0)
        title = QLabel("Chats")
        theme.mark(title, role="strong")
        head.addWidget(title, 1)
        head.addWidget(self.new)
        head.addWidget(self.fold)
        find = QHBoxLayout()
        find.setContentsMargins(8, 0, 8, 4)
        find.addWidget(self.search)
        self._stack = QStackedLayout()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 1, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(find)
        column.addLayout(self._stack, 1)

    # -- what is shown

    def set_open(self, chat_id: str) -> None:
        """Marks the chat that is open."""
        self._delegate.open_chat = chat_id
        self._reselect()
        self.view.viewport().update()

    def show_empty(self) -> None:
        """A sentence in the place of an empty list."""
        if self.model.searching:
            self.empty.setText("Nothing was found. All words have to occur in one message.")
        else:
            self.empty.setText("No chats yet. Write a message, and the conversation will be kept here.")
        self._stack.setCurrentWidget(self.view if self.model.rowCount() else self.empty)

    def focus_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _reselect(self) -> None:
        index = self.model.index_of(self._delegate.open_chat)
        if index.isValid():
            self.view.setCurrentIndex(index)

    def _restyle(self) -> None:
        for action in self.search.actions()[:1]:
            action.setIcon(theme.icon("search", "muted"))
        self.view.setStyleSheet(f"QListView {{ background: {theme.palette().window}; }}")
        self.view.viewport().update()

    # -- what is asked for

    def _row(self, index: QModelIndex) -> ListRow | None:
        return index.data(ROW) if index.isValid() else None

    def _open(self, index: QModelIndex) -> None:
        row = self._row(index)
        if row is not None and row.chat_id:
            self.opened.emit(row.chat_id, row.message_id)

    def _menu_at(self, point: QPoint) -> None:
        self.menu(self.view.indexAt(point), self.view.viewport().mapToGlobal(point))

    def menu(self, index: QModelIndex, where: QPoint) -> None:
        """What can be done with a chat."""
        row = self._row(index)
        if row is None or not row.chat_id:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setObjectName("chat.list.menu")
        menu.addAction("Open").triggered.connect(lambda: self.opened.emit(row.chat_id, row.message_id))
        if row.kind == "chat":
            menu.addAction("Rename\tF2").triggered.connect(lambda: self.rename(row.chat_id))
        menu.addSeparator()
        menu.addAction("Export as Markdown…").triggered.connect(lambda: self.export_wanted.emit(row.chat_id, "md"))
        menu.addAction("Export as JSON…").triggered.connect(lambda: self.export_wanted.emit(row.chat_id, "json"))
        menu.addSeparator()
        menu.addAction("Delete\tDel").triggered.connect(lambda: self.deleted.emit(row.chat_id))
        menu.popup(where)

    def rename(self, chat_id: str) -> None:
        """Opens a chat's title for editing, in its place."""
        index = self.model.index_of(chat_id)
        if index.isValid():
            self.view.setCurrentIndex(index)
            self.view.edit(index)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if watched is self.search and self._search_key(event):
                return True
            if watched is self.view and self._list_key(event):
                return True
        return super().eventFilter(watched, event)

    def _search_key(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Escape and self.search.text():
            self.search.clear()
            return True
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.model.rowCount():
            indexes = [self.model.index(number) for number in range(min(2, self.model.rowCount()))]
            first = next((index for index in indexes if index.data(ROW).kind != "day"), QModelIndex())
            if self.model.searching or not self.view.currentIndex().isValid():
                self.view.setCurrentIndex(first)
            self.view.setFocus()
            if event.key() != Qt.Key.Key_Down and self.model.searching:
                self._open(first)
            return True
        return False

    def _list_key(self, event: QKeyEvent) -> bool:
        index = self.view.currentIndex()
        row = self._row(index)
        if row is None or not row.chat_id:
            return False
        if event.key() == Qt.Key.Key_Delete:
            self.deleted.emit(row.chat_id)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._open(index)
        elif event.key() == Qt.Key.Key_Menu or (
            event.key() == Qt.Key.Key_F10 and event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        ):
            self.menu(index, self.view.viewport().mapToGlobal(self.view.visualRect(index).bottomLeft()))
        else:
            return False
        return True
