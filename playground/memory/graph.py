"""A compute graph reduced to what decides its memory: sizes, views, who reads what, and in which order.

It knows nothing of llama.cpp's models (see `layers`) nor of devices (see `schedule`). The rules modelled are
those of ggml: a node is a fresh buffer, a view of another tensor, or written in place over a parent; the order
of nodes is the depth-first order in which they were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

F32, F16, I32, I64 = 4, 2, 4, 8

IN_PLACE = frozenset(
    ["FILL", "SCALE", "ADD", "ADD_ID", "SUB", "MUL", "DIV", "SQR", "SQRT", "UNARY", "ROPE", "RMS_NORM", "CLAMP", "SOFT_MAX"]
)
"""Operations that may write over a parent of the same layout (ggml-alloc.c, `ggml_op_can_inplace`)."""

NOT_BY_WEIGHT = frozenset(("ROPE", "FLASH_ATTN_EXT"))
"""Operations whose small weight does not decide where they run (ggml-backend.cpp)."""


@dataclass(eq=False, slots=True)
class Tensor:
    """One tensor: `nbytes` is what it would occupy if it had a buffer of its own.

    `layout` is equal for two tensors of one type, shape and strides. `home` is the backend that already holds
    the data (weights, caches); None where the graph's allocator has to find a place. `rows` is the batch size
    by which a backend decides whether computing with a host weight is worth copying it.
    """

    op: str
    nbytes: int
    layout: tuple[object, ...]
    sources: tuple[Tensor, ...] = ()
    view_of: Tensor | None = None
    home: int | None = None
    weight: bool = False
    is_input: bool = False
    keep: bool = False
    rows: int = 1
    tag: str = ""
    backend: int = -1
    pinned: bool = False

    @property
    def is_view_op(self) -> bool:
        return self.op == "VIEW"


@dataclass(slots=True)
class Graph:
    """Nodes in the order of execution, and leaves (inputs, weights, caches) in the order met."""

    nodes: list[Tensor] = field(default_factory=list)
    leaves: list[Tensor] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _views: int = 0

    def expand(self, tensor: Tensor) -> Tensor:
        """Append `tensor` and everything it still needs, sources first, left to right."""
        stack: list[tuple[Tensor, int]] = [(tensor, 0)]
        if id(tensor) in self._seen:
            return tensor
        self._seen.add(id(tensor))
        while stack:
            current, at = stack.pop()
            if at < len(current.sources):
                stack.append((current, at + 1))
                source = current.sources[at]
                if id(source) not in self._seen:
                    self._seen.add(id(source))
                    stack.append((source, 0))
            elif current.op == "NONE":
                self.leaves.append(current)
            else:
                self.nodes.append(current)
        return tensor

    def input(self, shape: Iterable[int], element: float, tag: str = "") -> Tensor:
        shape = tuple(shape)
        size = int(_product(shape) * element)
        return Tensor("NONE", size, (element, *shape), is_input=True, tag=tag)

    def weight(self, nbytes: int, home: int, tag: str = "") -> Tensor:
        return Tensor("NONE", int(nbytes), ("weight", nbytes), home=home, weight=True, tag=tag)

    def cache(self, nbytes: int, home: int, tag: str = "") -> Tensor:
        return Tensor("NONE", int(nbytes), ("cache", nbytes), home=home, tag=tag)

    def op(
        self,
        name: str,
        shape: Iterable[int],
        *sources: Tensor,
        element: float = F32,
        rows: int | None = None,
        extra: int = 0,
        tag: str = "",
    ) -> Tensor:
        """A node with a buffer of its own, or written over a parent where `name` allows it."""
        shape = tuple(shape)
        size = int(_product(shape) * element) + extra
        batch = rows if rows is not None else _product(shape[1:])
        return Tensor(name, size, (element, *shape), sources, rows=batch, tag=tag)

    def view(self, source: Tensor, shape: Iterable[int], element: float = F32, same: bool = False) -> Tensor:
        """A window on `source`; `same` says that its layout equals a fresh tensor's of that shape."""
        shape = tuple(shape)
        root = source.view_of or source
        self._views += 1
        layout: tuple[object, ...] = (element, *shape) if same else ("view", self._views)
        return Tensor("VIEW", int(_product(shape) * element), layout, (source,), view_of=root)

    def store(self, cache: Tensor, *sources: Tensor) -> Tensor:
        """A write into `cache`: the result is the cache itself, so nothing is allocated."""
        root = cache.view_of or cache
        self._views += 1
        return Tensor("SET_ROWS", 0, ("view", self._views), (*sources, cache), view_of=root)


def _product(values: Iterable[int]) -> int:
    result = 1
    for value in values:
        result *= value
    return result
