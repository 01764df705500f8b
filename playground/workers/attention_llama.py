"""Attention of a GGUF model: the softmax of every layer, read where llama.cpp computes it, in a context of its own.

The chat's context knows nothing of it: a callback that only declines costs a sixth of its speed. Flash attention is off here, for it
never has the weights anywhere, and the cache is in f32. The prompt goes through in chunks, so that no more than a chunk's rows of one
layer are held.

Tensors by name, as `build_attn_mha` in llama.cpp's src/llama-graph.cpp has them: `kq-<layer>` is queries times keys, of which the operands
are the rotated queries and the cache; `kq_soft_max-<layer>` [tokens before, padded; tokens; heads] its softmax, with the scale in the
operation and the mask and learned sinks beside it; between them there may be a soft cap. Anything else between them cannot be computed
again, and is refused for long texts.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from playground.errors import Cancelled, MemoryShortError, ModelFileError
from playground.inside.recompute import Rule
from playground.inside.writer import Writer, cannot_recompute
from playground.workers import llama_lib
from playground.workers.attention import WITH_SINKS, Shape
from playground.workers.llama_cache import Batch, decode_failed
from playground.workers.llama_lib import C, ggml
from playground.workers.llama_model import Model
from playground.workers.llama_tensor import Tensor, check_layout, name_of, values_of

CHUNK = 128
"""tokens that are computed at a time, at most"""
CHUNK_BYTES = 16 << 20
"""of one layer's rows that are held at a time"""
LEAST = 16

ROUGH_GELU = (
    "On a processor llama.cpp looks its activation function (GELU) up in a table of 16-bit numbers: weights may be some thousandths off "
    "from what transformers computes."
)
_WANTED = re.compile(r"(kq|kq_soft_max)-(\d+)")


class LlamaAttention:
    """`attention.Source` for a loaded GGUF model. `scale`: of its adapter, if one is on."""

    exact = True

    def __init__(self, model: Model, scale: float = 1.0) -> None:
        check_layout()
        self._model = model
        self._scale = scale
        table = next((each for each in model.header.tensors if each.name == "position_embd.weight"), None)
        self.most = int(table.shape[1]) if table is not None else 1 << 30  # the library ends the process beyond it
        self._shape: Shape | None = None
        self._notes: tuple[str, ...] = ()

    def shape(self) -> Shape:
        if self._shape is None:
            probe = _Probe()
            self._decode([self._model.first_token()], 1, probe, lambda: False)
            if probe.failed is not None:
                raise probe.failed
            self._shape = probe.shape(self._model.path.name)
            self._notes = tuple(sorted(probe.notes))
        return self._shape

    def notes(self, length: int) -> tuple[str, ...]:
        window = self._model.header.get("attention.sliding_window", 0)
        if self._model.look_back or not isinstance(window, int) or not 0 < window < length:
            return self._notes
        return (
            f"This model was made to see only the last {window:,} tokens; llama.cpp computes no window for its kind, and looks at all {length:,}.",
            *self._notes,
        )

    def memory(self, shape: Shape, length: int) -> int:
        padded = -(-length // 256) * 256
        cache = 8 * len(shape.layers) * shape.kv_heads * shape.width * padded
        rows = 4 * shape.heads * padded * self._chunk(shape, length)
        return cache + 4 * rows

    def run(
        self, writer: Writer, shape: Shape, ids: Sequence[int], stop: Callable[[], bool], on_progress: Callable[[float], None]
    ) -> None:
        reader = _Reader(writer, len(ids), stop)
        self._decode(ids, self._chunk(shape, len(ids)), reader, stop, on_progress)

    def _chunk(self, shape: Shape, length: int) -> int:
        padded = -(-length // 256) * 256
        return max(LEAST, min(CHUNK, length, CHUNK_BYTES // (4 * shape.heads * padded)))

    def _decode(
        self,
        ids: Sequence[int],
        chunk: int,
        watcher: _Watcher,
        stop: Callable[[], bool],
        on_progress: Callable[[float], None] = lambda fraction: None,
    ) -> None:
        handle = self._context(len(ids), chunk, watcher)
        try:
            if self._model.adapter is not None:
                self._model.adapter.set_scale(handle, self._scale)
            batch = Batch(chunk)
            for start in range(0, len(ids), chunk):
                part = ids[start : start + chunk]
                count = len(part)
                batch.token[:count] = part
                batch.position[:count] = range(start, start + count)
                batch.sequence[:count] = 0
                batch.output[:count] = 0
                batch.output[count - 1] = 1  # one there must be; attention is computed for all of them
                batch.struct.n_tokens = count
                watcher.begin(start, count)
                code = llama_lib.decode(handle, batch.struct)
                if watcher.failed is not None:
                    raise watcher.failed
                if stop():
                    raise Cancelled("The capture was stopped.")
                if code:
                    raise decode_failed(code)
                on_progress((start + count) / len(ids))
        finally:
            C.llama_free(handle)

    def _context(self, length: int, chunk: int, watcher: _Watcher) -> Any:
        params = C.llama_context_default_params()
        params.n_ctx, params.n_seq_max = max(length, 16), 1
        params.n_batch = params.n_ubatch = chunk
        params.n_outputs_max = 1
        params.n_threads = params.n_threads_batch = self._model.threads
        params.type_k = params.type_v = C.GGML_TYPE_F32
        params.flash_attn_type = 0
        params.swa_full = True  # a ring would have the columns in another order
        params.no_perf = True
        params.cb_eval = watcher.callback
        handle = C.llama_init_from_model(self._model.handle, params)
        if not handle:
            raise MemoryShortError(
                f"There is not enough memory to capture a text of {length:,} tokens.",
                "Take a shorter one, or close other programs.",
            )
        return handle


class _Watcher:
    """Hears of every tensor. `failed` keeps what went wrong: nothing may be raised through the library."""

    def __init__(self) -> None:
        self.failed: Exception | None = None
        self.start = self.count = 0
        self.callback = C.ggml_backend_sched_eval_callback(self._see)

    def begin(self, start: int, count: int) -> None:
        self.start, self.count = start, count

    def _see(self, pointer: int, asked: bool, _: Any) -> bool:
        if self.failed is not None:
            return False
        try:
            tensor = ctypes.cast(pointer, ctypes.POINTER(Tensor)).contents
            if asked:
                self.passing(tensor)
            found = _WANTED.fullmatch(name_of(tensor)) if b"kq" in tensor.name else None
            if found is None:
                return not asked
            return self.asked(found[1], int(found[2]), tensor) if asked else self.computed(found[1], int(found[2]), tensor)
        except Exception as error:
            self.failed = error
            return False

    def passing(self, tensor: Any) -> None:
        """Any tensor, before it is computed."""

    def asked(self, name: str, layer: int, tensor: Any) -> bool:
        """Whether this tensor is to be seen once it is computed."""
        raise NotImplementedError

    def computed(self, name: str, layer: int, tensor: Any) -> bool:
        """Its values are there. False ends the computation."""
        raise NotImplementedError


class _Probe(_Watcher):
    """Which layers have attention, in what shape, and what is to be said of it: from one token."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[int, tuple[int, int, int]] = {}
        self.notes: set[str] = set()

    def passing(self, tensor: Any) -> None:
        if _activation(tensor) in ("GELU", "GEGLU") and tensor.buffer and ggml.ggml_backend_buffer_is_host(tensor.buffer):
            self.notes.add(ROUGH_GELU)

    def asked(self, name: str, layer: int, tensor: Any) -> bool:
        if name == "kq":
            keys, queries = tensor.src[0].contents, tensor.src[1].contents
            self._found[layer] = int(queries.ne[2]), int(keys.ne[2]), int(queries.ne[0])
        elif tensor.src[2]:
            self.notes.add(WITH_SINKS)
        return False

    def computed(self, name: str, layer: int, tensor: Any) -> bool:
        return True

    def shape(self, model: str) -> Shape:
        if not self._found:
            raise ModelFileError(f"{model} has no attention that could be looked at.", "Look into a transformer model.")
        if len(set(self._found.values())) > 1:
            raise ModelFileError(
                f"The layers of {model} differ in their heads, which a capture has no room for.", "Look into another model."
            )
        heads, kv_heads, width = next(iter(self._found.values()))
        return Shape(tuple(sorted(self._found)), heads, kv_heads, width)


class _Reader(_Watcher):
    """Hands the rows of wanted layers to the writer."""

    def __init__(self, writer: Writer, length: int, stop: Callable[[], bool]) -> None:
        super().__init__()
        self._writer = writer
        self._length = length
        self._stop = stop
        self._places = {layer: place for place, layer in enumerate(writer.header.layers)}
        self._recomputed = writer.header.recomputed
        self._ruled: set[int] = set()

    def asked(self, name: str, layer: int, tensor: Any) -> bool:
        if layer not in self._places:
            return False
        if name == "kq":
            return self._recomputed
        if self._recomputed:
            self._read_rule(self._places[layer], tensor)
        return True

    def computed(self, name: str, layer: int, tensor: Any) -> bool:
        if self._stop():
            self.failed = Cancelled("The capture was stopped.")
            return False
        place, end = self._places[layer], self.start + self.count
        if name == "kq":
            queries = values_of(tensor.src[1].contents)[0].transpose(1, 0, 2)  # [heads, tokens, width]
            keys = values_of(tensor.src[0].contents)[0].transpose(1, 0, 2)
            self._writer.queries_and_keys(place, self.start, queries, keys[self.start : end])
            return True
        weights = values_of(tensor)
        if weights.shape[0] != 1 or weights.shape[2] != self.count or weights.shape[3] < end:
            raise ModelFileError(
                "This model computes its attention in a way that cannot be looked at.", "Look into another one."
            )
        rows = weights[0, :, :, :end]
        if not self._writer.header.causal and end < self._length:
            rows = np.pad(rows, ((0, 0), (0, 0), (0, self._length - end)))
        self._writer.rows(place, self.start, rows)
        return True

    def _read_rule(self, place: int, softmax: Any) -> None:
        """Scale, cap and sinks of a layer (once) and which tokens this chunk's rows see: inputs, which are there before they are used."""
        scale, alibi = _floats(softmax, 2)
        if alibi:
            raise cannot_recompute("it adds a bias for the distance of tokens")
        mask = values_of(softmax.src[1].contents)[0, 0, : self.count, : self._length]
        if np.any((mask != 0) & np.isfinite(mask)):
            raise cannot_recompute("it adds a bias to some tokens")
        self._writer.bounds(place, self.start, mask == 0)
        if place in self._ruled:
            return
        self._ruled.add(place)
        first, cap = _cap(softmax.src[0].contents)
        rule = Rule(scale) if not cap else Rule(first, cap, scale)
        sinks = values_of(softmax.src[2].contents).reshape(-1) if softmax.src[2] else None
        self._writer.rule(place, rule, None if sinks is None else np.array(sinks))


def _cap(scores: Any) -> tuple[float, float]:
    """What lies between queries times keys and their softmax: (1, 0) for nothing, else the first factor and the cap."""
    if _operation(scores) == "MUL_MAT":
        return 1.0, 0.0
    second = scores
    tanh = second.src[0].contents if _operation(second) == "SCALE" else None
    first = tanh.src[0].contents if tanh is not None and _operation(tanh) == "UNARY" and b"tanh" in tanh.name else None
    if first is None or _operation(first) != "SCALE" or _operation(first.src[0].contents) != "MUL_MAT":
        raise cannot_recompute("it does more between queries and keys than is known here")
    (factor, more), (cap, again) = _floats(first, 2), _floats(second, 2)
    if more or again:
        raise cannot_recompute("it adds to the products of queries and keys")
    return factor * cap, cap


def _activation(tensor: Any) -> str:
    """The function of a feed-forward part, by ggml's name; empty for another operation."""
    named = {"UNARY": ggml.ggml_unary_op_name, "GLU": ggml.ggml_glu_op_name}.get(_operation(tensor))
    return "" if named is None else str(named(tensor.op_params[0]).decode())


def _operation(tensor: Any) -> str:
    return str(ggml.ggml_op_name(tensor.op).decode())


def _floats(tensor: Any, count: int) -> tuple[float, ...]:
    """Parameters of an operation that are floats."""
    return tuple((ctypes.c_float * count).from_buffer_copy(tensor.op_params))
