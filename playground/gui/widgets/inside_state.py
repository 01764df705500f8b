"""What the views of the Inside page show together: the captures, the layer and head, the token, the scale. No view talks to another but through it.

The views, and who changes what:

    inside_grid       all layers x all heads            sets layer and head
    heat_map          one map, zoomed and panned        sets the token (its row), points at tokens
    inside_controls   mode, layer, head, scale, colours sets all of these
    inside_text       the text, shaded; arcs            sets the token and its direction, points at tokens
    head_finder       heads sorted by pattern           sets layer and head
    inside_pickers    captures A and B, and which is seen
    lens, embeddings  the further tabs                  read the capture and the token

A view connects to the signals it needs and reads the fields; it changes them by the `set_...` methods only, which send their signal when
something is another thing than before. Numbers of layers and heads are the model's own. What takes longer than a few milliseconds is
asked for by `ask`, whose work runs on a thread and whose answer comes back to the window's: `row_work` is the usual case. A late answer to
an old question is dropped by its `key`.

This module knows captures, and no widget.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QObject, Signal

from playground.gui.bridge import when_done
from playground.inside import look as looks
from playground.inside.capture import Capture
from playground.inside.layout import Header, Token
from playground.inside.look import Look

VIEWS = ("a", "b", "difference")
SCALES = ("sqrt", "linear", "log", "percentile")
COLOURS = ("cividis", "viridis")
KINDS = ("disk", "rows", "maps", "long")
"""of work: files and lists; one row; one head; means of many heads and rollout"""


@dataclass(frozen=True)
class Scale:
    """How weights become colours."""

    kind: str = "sqrt"
    """one of SCALES"""
    hide_sink: bool = False
    """whether the first token's column is left out, which most heads give what they do not need"""
    shared: bool = True
    """the same colours for all heads; else each head has its own greatest weight at the end of the scale"""
    colours: str = "cividis"
    """one of COLOURS; a difference is always blue to orange"""


def as_scale(kept: Any) -> dict[str, Any]:
    """What was kept of a `Scale` (as a dict), as far as it is one still."""
    found: dict[str, Any] = {}
    if isinstance(kept, dict):
        found = {name: kept[name] for name in ("hide_sink", "shared") if isinstance(kept.get(name), bool)}
        found |= {"kind": kept["kind"]} if kept.get("kind") in SCALES else {}
        found |= {"colours": kept["colours"]} if kept.get("colours") in COLOURS else {}
    return found


_here = threading.local()


def stopped() -> bool:
    """Within the work of `ask`: whether it is wanted no longer."""
    event = getattr(_here, "stop", None)
    return event is not None and event.is_set()


def _told_to_stop(work: Callable[[], Any], stop: threading.Event) -> Any:
    _here.stop = stop
    try:
        return work()
    finally:
        _here.stop = None


def _end(threads: dict[str, ThreadPoolExecutor], asked: dict[str, tuple[int, Future[Any], threading.Event]]) -> None:
    """Nothing that was asked is wanted any more, and nothing is waited for."""
    for _, _, stop in asked.values():
        stop.set()
    for thread in threads.values():
        thread.shutdown(wait=False, cancel_futures=True)


class InsideState(QObject):
    """Made by the page with no capture; the page alone opens and closes captures."""

    captures_changed = Signal()
    """another A or B, or none any more; everything else may have changed with it"""
    look_changed = Signal()
    """another view (A, B, difference), mode, layer or head"""
    token_changed = Signal()
    """another token is selected, or in the other direction"""
    pointed_changed = Signal()
    """the pointer is on another token, in whatever view"""
    scale_changed = Signal()
    failed = Signal(object)
    """an error of a question that nobody took: the page says it"""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.a: Capture | None = None
        self.b: Capture | None = None
        self.id_a = ""
        self.id_b = ""
        self.view = "a"
        self.look = Look()
        self._chosen = False
        """whether somebody chose a layer or head"""
        self._shared: Header | None = None
        """what the difference is of, where there is one"""
        self.token: int | None = None
        """the selected token, by its place in the text"""
        self.direction = "from"
        """`from`: what the token looks at (a row); `to`: what looks at it (a column)"""
        self.pointed: int | None = None
        self.scale = Scale()
        # Nothing waits for what takes longer than itself: rows not for maps, heads not for means of many heads.
        self._threads = {kind: ThreadPoolExecutor(1, thread_name_prefix=f"inside-{kind}") for kind in KINDS}
        self._asked: dict[str, tuple[int, Future[Any], threading.Event]] = {}
        self._count = 0
        application = QCoreApplication.instance()
        threads, asked = self._threads, self._asked

        def end(*_: object) -> None:
            _end(threads, asked)

        self.destroyed.connect(end)
        if application is not None:
            application.aboutToQuit.connect(end)

    def close(self) -> None:
        """Lets go of the captures and ends the threads; nothing is answered any more."""
        for key in tuple(self._asked):
            self.forget(key)
        for thread in self._threads.values():
            thread.shutdown(wait=True, cancel_futures=True)
        for capture in (self.a, self.b):
            if capture is not None:
                capture.close()
        self.a = self.b = None

    # -- what is there

    @property
    def capture(self) -> Capture | None:
        """The one that is seen; of a difference A, whose tokens stand along the axes."""
        return self.b if self.view == "b" else self.a

    @property
    def header(self) -> Header | None:
        """Of the one that is seen; of a difference with as many tokens as are compared."""
        if self.signed and self._shared is not None:
            return self._shared
        return self.capture.header if self.capture is not None else None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens of the text that is seen; none without a capture."""
        return self.header.tokens if self.header is not None else ()

    @property
    def signed(self) -> bool:
        """Whether numbers are differences, from -1 to 1."""
        return self.view == "difference"

    @property
    def no_difference(self) -> str:
        """Why A and B have no difference, in a sentence; empty where they have one."""
        if self.a is None or self.b is None:
            return "A difference needs a second capture."
        return looks.no_difference(self.a.header, self.b.header)

    @property
    def partly(self) -> str:
        """That the difference is of the beginnings of A and B, in a sentence; empty where it is of all of them."""
        return looks.partly(self.a.header, self.b.header) if self.a is not None and self.b is not None else ""

    # -- changes

    def set_captures(
        self,
        a: Capture | None,
        id_a: str = "",
        b: Capture | None = None,
        id_b: str = "",
        head: tuple[int, int] | None = None,
    ) -> None:
        """Shows other captures (the page opens them; those that are not shown any more are closed). Layer, head and token stay where they can.

        `head`: the layer and head to look at first, as long as nobody has chosen any.
        """
        old = (self.a, self.b)
        self.a, self.id_a, self.b, self.id_b = a, id_a, b, id_b
        self._shared = looks.shared(a.header, b.header) if a is not None and b is not None and not self.no_difference else None
        if head is not None and not self._chosen:
            self.look = Look(self.look.mode, *head)
        if (self.view == "b" and b is None) or (self.view == "difference" and self.no_difference):
            self.view = "a"
        for each in old:
            if each is not None and each is not a and each is not b:
                each.close()
        self._keep_within()
        self.captures_changed.emit()

    def set_view(self, view: str) -> None:
        """`a`, `b` or `difference`; one that is not to be had is passed over."""
        if view == self.view or (view == "b" and self.b is None) or (view == "difference" and self.no_difference):
            return
        self.view = view
        self._keep_within()
        self.look_changed.emit()

    def set_look(self, mode: str | None = None, layer: int | None = None, head: int | None = None) -> None:
        """Another mode, layer or head; what is None stays."""
        old = self.look
        wanted = Look(
            old.mode if mode is None else mode, old.layer if layer is None else layer, old.head if head is None else head
        )
        self._chosen = self._chosen or layer is not None or head is not None
        if wanted != self.look:
            self.look = wanted
            self.look_changed.emit()

    def set_token(self, token: int | None, direction: str | None = None) -> None:
        """Selects a token, or none."""
        wanted = token, direction or self.direction
        if wanted != (self.token, self.direction):
            self.token, self.direction = wanted
            self.token_changed.emit()

    def set_pointed(self, token: int | None) -> None:
        """The token under the pointer, or none."""
        if token != self.pointed:
            self.pointed = token
            self.pointed_changed.emit()

    def set_scale(self, **changes: Any) -> None:
        """Other fields of `Scale`."""
        wanted = replace(self.scale, **changes)
        if wanted != self.scale:
            self.scale = wanted
            self.scale_changed.emit()

    # -- numbers

    def ask(
        self,
        key: str,
        work: Callable[[], Any],
        receiver: QObject,
        take: Callable[[Any], None],
        on_error: Callable[[BaseException], None] | None = None,
        kind: str = "maps",
    ) -> None:
        """Runs `work` on a thread; `take(result)` is called on the window's, unless another question with this key was asked since.

        `kind`: `maps` for whole maps, `rows` for what a pointer waits for, `disk` for what has nothing to do with the look. `work` must touch no
        widget and not the state: give it the captures and the look as they are now. What takes long asks `stopped()` whether it is still wanted.
        Errors go to `on_error`, else to `failed`.
        """
        self.forget(key)
        if kind in ("rows", "maps") and self._long(kind):
            kind = "long"
        self._count += 1
        number = self._count

        def ours() -> bool:
            return key in self._asked and self._asked[key][0] == number

        def taken(result: Any) -> None:
            if ours():
                del self._asked[key]
                take(result)

        def wrong(error: BaseException) -> None:
            if ours():
                del self._asked[key]
                (on_error or self.failed.emit)(error)

        stop = threading.Event()
        future = self._threads[kind].submit(_told_to_stop, work, stop)
        self._asked[key] = (number, future, stop)
        when_done(future, receiver, taken, wrong)

    def asks(self, key: str) -> bool:
        """Whether something is asked under this key, and not answered yet."""
        return key in self._asked

    def forget(self, key: str) -> None:
        """What was asked under this key is not wanted any more."""
        before = self._asked.pop(key, None)
        if before is not None:
            before[1].cancel()
            before[2].set()

    def row_work(self, token: int, direction: str = "from") -> Callable[[], NDArray[np.float32]]:
        """The work of finding the numbers of one token in the look and view of now: [tokens], differences in the view `difference`.

        To be called at once where `quick`, else given to `ask` with kind `rows` (`maps` for the direction `to`, which needs the whole map).
        """
        a, b, view, look = self.a, self.b, self.view, self.look
        find = looks.row if direction == "from" else looks.column

        def work() -> NDArray[np.float32]:
            if view == "difference":
                assert a is not None
                assert b is not None
                return looks.token_difference(a, b, look, token, direction, stopped)
            capture = b if view == "b" else a
            assert capture is not None
            return find(capture, look, token, stopped)

        return work

    @property
    def quick(self) -> bool:
        """Whether the numbers of the look of now cost a few milliseconds at most."""
        seen = (self.a, self.b) if self.signed else (self.capture,)
        return all(each is not None and looks.quick(each, self.look) for each in seen)

    # -- inside

    def _long(self, kind: str) -> bool:
        """Whether work of the look of now goes through all heads of a layer or more."""
        mode = self.look.mode
        return not self.quick and (mode == "rollout" or (mode in ("layer", "all") and kind == "maps"))

    def _keep_within(self) -> None:
        """Layer, head and token are ones that the capture has."""
        header = self.header
        if header is None:
            self.token = self.pointed = None
            return
        layer = self.look.layer if self.look.layer in header.layers else header.layers[0]
        head = self.look.head if self.look.head in header.heads else header.heads[0]
        self.look = replace(self.look, layer=layer, head=head)
        if self.token is not None and self.token >= (header.length if self.direction == "from" else header.width):
            self.token = None
        self.pointed = None
