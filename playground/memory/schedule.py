"""Where each node of a graph runs, and how large each backend's compute buffer becomes.

Two algorithms of ggml, restated: the scheduler that assigns nodes to backends and copies what crosses between
them (ggml-backend.cpp, `ggml_backend_sched_split_graph`), and the allocator that lays tensors out in one buffer
per backend with best-fit reuse (ggml-alloc.c). The sizes are what a load log prints as "compute buffer size".
Not modelled: operations a backend does not support, and buffers split in chunks by a backend's size limit.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from .graph import IN_PLACE, NOT_BY_WEIGHT, Graph, Tensor

COPIES_IN_PIPELINE = 4
OFFLOAD_MINIMUM_ROWS = 32


@dataclass(slots=True)
class Backends:
    """`gpus` devices in order, then the host as the last one.

    `offload` says that a GPU takes over batched operations whose weight lies on the host (CUDA, Vulkan, SYCL).
    `copies` is 4 where pipeline parallelism is on. `alignment` is in bytes, one per backend.
    """

    gpus: int
    offload: bool = True
    copies: int = 1
    alignment: tuple[int, ...] = ()

    @property
    def host(self) -> int:
        return self.gpus

    def align(self, backend: int) -> int:
        if self.alignment:
            return self.alignment[backend]
        return 64 if backend == self.host else 128


def buffer_sizes(graph: Graph, backends: Backends) -> list[int]:
    """Bytes of the compute buffer of each backend, the host last."""
    _assign(graph, backends)
    plan = _split(graph, backends)
    return _allocate(plan, backends)


# --- where nodes run -------------------------------------------------------------------------------------------------


def _assign(graph: Graph, backends: Backends) -> None:
    host = backends.host
    for leaf in graph.leaves:
        if leaf.backend < 0:
            leaf.backend = leaf.home if leaf.home is not None else (host if leaf.is_input else -1)
    for node in graph.nodes:
        if node.backend < 0:
            node.backend = _from_weights(node, backends)
    work = [node for node in graph.nodes if not node.is_view_op]
    for order, skip_host in ((work, True), (work[::-1], True), (work, False), (work[::-1], False)):
        current = -1
        for node in order:
            if node.backend >= 0:
                current = -1 if skip_host and node.backend == host else node.backend
            elif current >= 0:
                node.backend = current
    for node in graph.nodes:
        if node.backend < 0 and node.view_of is not None:
            node.backend = node.view_of.backend
        for source in node.sources:
            if source.backend < 0:
                source.backend = source.view_of.backend if source.view_of is not None else node.backend
        if node.backend < 0:
            node.backend = 0


def _from_weights(node: Tensor, backends: Backends) -> int:
    if node.home is not None:
        return node.home
    if node.view_of is not None and node.view_of.home is not None:
        return node.view_of.home
    if node.op in NOT_BY_WEIGHT:
        return -1
    for source in node.sources:
        if source.weight and source.home is not None:
            wanted = backends.offload and node.op != "GET_ROWS" and node.rows >= OFFLOAD_MINIMUM_ROWS
            return 0 if wanted and source.home == backends.host and backends.gpus else source.home
    return -1


@dataclass(slots=True)
class _Plan:
    nodes: list[tuple[Tensor, int]] = field(default_factory=list)
    leaves: list[tuple[Tensor, int]] = field(default_factory=list)


def _split(graph: Graph, backends: Backends) -> _Plan:
    """Insert the copies of what crosses between backends, at the start of the split that needs them."""
    splits: list[tuple[int, list[Tensor], list[Tensor]]] = []
    copies: dict[tuple[int, int], list[Tensor]] = {}
    work = (node for node in graph.nodes if not node.is_view_op)
    first = next(work, None)
    current = first.backend if first is not None else backends.host
    inputs: list[Tensor] = []
    body: list[Tensor] = []
    for node in graph.nodes:
        if node.is_view_op:
            body.append(node)
            continue
        crosses = any(s.weight and s.backend != current and not _readable(s, current) for s in node.sources)
        if node.backend != current or (inputs and crosses):
            splits.append((current, inputs, body))
            current, inputs, body = node.backend, [], []
        body.append(node)
        replaced = list(node.sources)
        for at, source in enumerate(node.sources):
            if source.backend == current or _readable(source, current):
                continue
            key = (id(source), current)
            if key not in copies:
                copies[key] = [_copy_of(source, backends.copies) for _ in range(backends.copies)]
                inputs.append(source)
            replaced[at] = copies[key][0]
        node.sources = tuple(replaced)
    splits.append((current, inputs, body))
    return _lay_out(graph, backends, splits, copies)


def _readable(source: Tensor, backend: int) -> bool:
    """Can `backend` read `source` where it lies? Only the same backend can; the host reads no device's memory."""
    where = source.view_of.backend if source.view_of is not None and source.backend < 0 else source.backend
    return where == backend


def _copy_of(source: Tensor, copies: int) -> Tensor:
    several = copies > 1
    return Tensor("COPY", source.nbytes, ("copy", id(source)), is_input=several, keep=several, tag=source.tag + "#copy")


def _lay_out(
    graph: Graph,
    backends: Backends,
    splits: list[tuple[int, list[Tensor], list[Tensor]]],
    copies: dict[tuple[int, int], list[Tensor]],
) -> _Plan:
    plan = _Plan()
    if backends.copies > 1:
        for leaf in graph.leaves:
            if leaf.is_input:
                leaf.keep = True
                plan.leaves.append((leaf, leaf.backend))
                for _ in range(backends.copies - 1):
                    plan.leaves.append((_copy_of(leaf, backends.copies), leaf.backend))
    for backend, inputs, body in splits:
        for source in inputs:
            made = copies[(id(source), backend)]
            dependency = Tensor("NONE", 0, ("dep",), (source,), view_of=source.view_of or source)
            plan.nodes.append((dependency, source.backend))
            plan.nodes.append((made[0], backend))
            if backends.copies > 1:
                plan.leaves += [(copy, backend) for copy in made]
        plan.nodes += [(node, node.backend) for node in body]
    plan.leaves += [(leaf, leaf.backend) for leaf in graph.leaves]
    return plan


# --- how much they need ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Buffer:
    """Best fit among the free blocks, else at the end; `top` is the largest extent ever used."""

    alignment: int
    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    end: int = 0
    top: int = 0

    def take(self, size: int) -> int:
        size = -(-size // self.alignment) * self.alignment
        best = -1
        for at, block in enumerate(self.sizes):
            if block >= size and (best < 0 or block <= self.sizes[best]):
                best = at
        if best >= 0:
            offset = self.starts[best]
            if self.sizes[best] == size:
                del self.starts[best], self.sizes[best]
            else:
                self.starts[best] += size
                self.sizes[best] -= size
            return offset
        offset = self.end
        self.end += size
        self.top = max(self.top, self.end)
        return offset

    def give(self, offset: int, size: int) -> None:
        size = -(-size // self.alignment) * self.alignment
        if size == 0:
            return
        at = bisect.bisect_left(self.starts, offset)
        self.starts.insert(at, offset)
        self.sizes.insert(at, size)
        if at + 1 < len(self.starts) and offset + size == self.starts[at + 1]:
            self.sizes[at] += self.sizes.pop(at + 1)
            del self.starts[at + 1]
        if at > 0 and self.starts[at - 1] + self.sizes[at - 1] == offset:
            self.sizes[at - 1] += self.sizes.pop(at)
            del self.starts[at]
        if self.starts and self.starts[-1] + self.sizes[-1] == self.end:
            self.end = self.starts.pop()
            self.sizes.pop()


@dataclass(slots=True)
class _Place:
    readers: int = 0
    views: int = 0
    backend: int = 0
    offset: int = 0
    held: bool = False


def _allocate(plan: _Plan, backends: Backends) -> list[int]:
    buffers = [_Buffer(backends.align(b)) for b in range(backends.gpus + 1)]
    places: dict[int, _Place] = {}

    def place(tensor: Tensor) -> _Place:
        found = places.get(id(tensor))
        if found is None:
            found = places[id(tensor)] = _Place()
        return found

    def external(tensor: Tensor) -> bool:
        root = tensor.view_of or tensor
        return root.home is not None

    def allocate(tensor: Tensor, backend: int) -> None:
        mine = place(tensor)
        if tensor.view_of is not None or mine.held or external(tensor):
            return
        mine.held = True
        if tensor.op in IN_PLACE:
            for parent in tensor.sources:
                if _take_over(tensor, mine, parent):
                    return
        mine.backend = backend
        mine.offset = buffers[backend].take(tensor.nbytes)

    def _take_over(tensor: Tensor, mine: _Place, parent: Tensor) -> bool:
        root = parent.view_of or parent
        theirs, held = place(parent), place(root)
        if parent is not root or not held.held or root.keep or parent.layout != tensor.layout:
            return False
        if theirs.readers != 1 or theirs.views != 0:
            return False
        align = buffers[held.backend].alignment
        old, new = (-(-size // align) * align for size in (root.nbytes, tensor.nbytes))
        mine.backend, mine.offset = held.backend, held.offset
        held.held = False
        if old > new:
            buffers[held.backend].give(held.offset + new, old - new)
        return True

    def release(tensor: Tensor) -> None:
        mine = place(tensor)
        if not tensor.keep and mine.held:
            buffers[mine.backend].give(mine.offset, tensor.nbytes)
            mine.held = False

    for leaf, backend in plan.leaves:
        allocate(leaf, backend)
    for node, backend in plan.nodes:
        if node.view_of is not None and node.op != "NONE":
            place(node.view_of).views += 1
        for source in node.sources:
            place(source).readers += 1
            if source.is_input:
                allocate(source, backend)
    for node, backend in plan.nodes:
        for source in node.sources:
            allocate(source, backend)
        allocate(node, backend)
        for source in node.sources:
            theirs = place(source)
            theirs.readers -= 1
            if theirs.readers or theirs.views:
                continue
            if source.view_of is not None:
                root = place(source.view_of)
                root.views -= 1
                if root.views == 0 and root.readers == 0:
                    release(source.view_of)
            else:
                release(source)
    return [buffer.top for buffer in buffers]
