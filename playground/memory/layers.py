"""llama.cpp's compute graph for one micro-batch, as far as it decides memory.

One builder covers the transformer families (dense, GQA, MoE, sliding window, MLA) from a `ModelShape`; recurrent
layers follow Mamba 1/2 and the gated delta net. Sources: llama.cpp `llama-graph.cpp`, `models/*.cpp`.
Modelled, not exact: architectures with parallel or extra branches (their small per-token terms), and the
recurrent families other than Mamba.
"""

from __future__ import annotations

from . import feed_forward, recurrent
from .graph import F16, F32, I32, I64, Graph, Tensor
from .shape import LayerShape, ModelShape
from .traits import Batch, EngineTraits, Homes


def build(shape: ModelShape, batch: Batch, homes: Homes, traits: EngineTraits) -> Graph:
    """The graph of one prompt micro-batch."""
    return _Builder(shape, batch, homes, traits).build()


class _Builder:
    def __init__(self, shape: ModelShape, batch: Batch, homes: Homes, traits: EngineTraits) -> None:
        self.shape, self.batch, self.homes, self.traits = shape, batch, homes, traits
        self.g = Graph()
        self.n = batch.tokens
        self._masks: dict[bool, Tensor] = {}
        self._index: dict[bool, tuple[Tensor, Tensor]] = {}
        self._rotations: dict[tuple[int, bool], Tensor] = {}
        self._copies: Tensor | None = None
        self._gate_of: Tensor = self.g.input((0,), F32)
        self.positions = self.g.input((self.n * shape.positions_per_token,), I32, "positions")
        self.output_rows = self.g.input((batch.outputs,), I32, "output_rows")

    # -- the whole ----------------------------------------------------------------------------------------------------

    def build(self) -> Graph:
        shape, g = self.shape, self.g
        current = self._embed()
        last = len(shape.layers) - 1
        for il, layer in enumerate(shape.layers):
            current = self._layer(il, layer, current, il == last)
        if shape.encoder:
            return self._pool(current)
        late = self._late_gather
        if late and not shape.state:
            current.keep = True  # an output of the graph: it may feed a draft head
            current = g.op("GET_ROWS", (shape.embd, self.batch.outputs), current, self.output_rows)
        current = self.norm(current, self.homes.output)
        if late and shape.state:
            current.keep = True
            current = g.op("GET_ROWS", (shape.embd, self.batch.outputs), current, self.output_rows)
        head = g.weight(shape.output_bytes, self.homes.output, "output")
        rows = self.batch.outputs if self._gathers else self.n
        current = g.op("MUL_MAT", (shape.vocab, rows), head, current, rows=rows, tag="logits")
        if shape.final_softcap:
            for name in ("SCALE", "UNARY", "SCALE"):
                current = g.op(name, (shape.vocab, rows), current)
        g.expand(current)
        return g

    def _pool(self, current: Tensor) -> Graph:
        """An embedding model ends in one row per sequence: no head, no logits."""
        cls = self.g.input((self.n * self.batch.sequences,), F32, "pooling")
        turned = self.g.op("CONT", (self.n, self.shape.embd), self.g.view(current, (self.n, self.shape.embd)))
        self.g.expand(self.g.op("MUL_MAT", (self.shape.embd, self.batch.sequences), turned, cls, rows=1))
        return self.g

    @property
    def _late_gather(self) -> bool:
        return self.shape.gathers_at_end and self.traits.late_gather

    @property
    def _gathers(self) -> bool:
        return self.traits.always_gather or self.batch.outputs < self.n

    def _embed(self) -> Tensor:
        shape, g = self.shape, self.g
        table = g.weight(shape.embedding_bytes, self.homes.host, "token_embd")
        tokens = g.input((self.n,), I32, "tokens")
        current = g.op("GET_ROWS", (shape.embd, self.n), table, tokens, tag="embd")
        if self.traits.embedding_input:
            g.expand(current)
            g.expand(g.input((shape.embd, self.n), F32, "embeddings"))
        if shape.position_table:
            table = g.weight(shape.context_train * shape.embd * F16, self.homes.host, "position_embd")
            current = g.op("ADD", (shape.embd, self.n), current, g.op("GET_ROWS", (shape.embd, self.n), table, self.positions))
        if shape.scaled_embeddings:
            current = g.op("SCALE", (shape.embd, self.n), current)
        return current

    def _layer(self, il: int, layer: LayerShape, inp: Tensor, last: bool) -> Tensor:
        shape, home = self.shape, self.homes.layer[il]
        normed = inp if shape.norms_after else self.norm(inp, home)
        parts: list[Tensor] = []
        if layer.recurrent:
            parts.append(self._recurrent(il, layer, normed, home))
        if layer.attention:
            parts.append(self._attention(il, layer, normed, home))
        mixed = parts[0] if parts else normed
        for part in parts[1:]:
            mixed = self.g.op("ADD", (shape.embd, self.n), mixed, part)
        rows = self.n
        if last and self._gathers and not self._late_gather and not shape.encoder:
            rows = self.batch.outputs
            mixed = self.g.op("GET_ROWS", (shape.embd, rows), mixed, self.output_rows)
            inp = self.g.op("GET_ROWS", (shape.embd, rows), inp, self.output_rows)
            if shape.parallel and not shape.parallel_norm:
                normed = self.g.op("GET_ROWS", (shape.embd, rows), normed, self.output_rows)
        if not (layer.feed_forward or layer.experts):
            return self.g.op("ADD", (shape.embd, rows), mixed, inp)
        if shape.parallel:
            normed = self.norm(inp, home) if shape.parallel_norm else normed
            out = feed_forward.block(self, il, layer, normed, home, rows)
            out = self.g.op("ADD", (shape.embd, rows), out, inp)
            return self.g.op("ADD", (shape.embd, rows), out, mixed)
        if not parts:
            return self.g.op("ADD", (shape.embd, rows), feed_forward.block(self, il, layer, mixed, home, rows), inp)
        if shape.post_norms or shape.norms_after:
            mixed = self.norm(mixed, home)
        middle = self.g.op("ADD", (shape.embd, rows), mixed, inp)
        normed = middle if shape.norms_after else self.norm(middle, home)
        out = feed_forward.block(self, il, layer, normed, home, rows)
        if shape.post_norms or shape.norms_after:
            out = self.norm(out, home)
        first, second = (middle, out) if shape.residual_first else (out, middle)
        return self.g.op("ADD", (shape.embd, rows), first, second)

    # -- pieces -------------------------------------------------------------------------------------------------------

    def norm(self, x: Tensor, home: int, shape: tuple[int, ...] | None = None) -> Tensor:
        dims = shape if shape is not None else _dims(x)
        if self.traits.fork and not self.shape.layer_norm:
            return self.g.op("FUSED_RMS_NORM", dims, x, self.g.weight(dims[0] * F32, home, "norm"))
        name = "NORM" if self.shape.layer_norm else "RMS_NORM"
        normed = self.g.op(name, dims, x)
        if self.homes.all_offloaded:
            normed.backend = home  # llama.cpp pins norms to their layer's device then
        return self.g.op("MUL", dims, normed, self.g.weight(dims[0] * F32, home, "norm"))

    def mm(self, name: str, il: int, x: Tensor, inner: int, outer: int, home: int, rows: int) -> Tensor:
        nbytes = self.shape.tensor_bytes(f"blk.{il}.{name}.weight", inner * outer)
        return self.g.op("MUL_MAT", (outer, rows), self.g.weight(nbytes, home, name), x, rows=rows, tag=name)

    def glu(self, gate: Tensor, up: Tensor, dims: tuple[int, ...]) -> Tensor:
        """`up` is computed before `gate`, as llama.cpp asks for it first."""
        if self.traits.fork:
            # the fork's fused multiply: one new tensor, neither operand overwritten
            return self.g.op("FUSED_MUL_UNARY", dims, gate, up)
        if self.traits.fused_glu:
            return self.g.op("GLU", dims, gate, up)
        return self.g.op("MUL", dims, self.g.op("UNARY", dims, gate), up)

    def _mask(self, sliding: bool) -> Tensor:
        """The attention mask of the full or the sliding cache, made when first asked for."""
        sliding = sliding and self.shape.window > 0 and any(layer.sliding for layer in self.shape.layers)
        if sliding not in self._masks:
            cells = self.batch.window_cells if sliding else self.batch.cells
            cells = self.n if self.shape.encoder else cells
            rows = -(-self.n // self.batch.streams // self.traits.mask_rows) * self.traits.mask_rows
            half = self.batch.flash and self.traits.mask_f16
            dims = (cells, rows, 1, self.batch.streams)
            mask = self.g.input(dims, F16 if half else F32, "mask")
            if self.batch.flash and not half and self.traits.mask_cast:
                mask = self.g.op("CPY", dims, mask, element=F16, tag="mask16")
            self._masks[sliding] = mask
        return self._masks[sliding]

    def _indices(self, sliding: bool) -> tuple[Tensor, Tensor]:
        if sliding not in self._index:
            wide = 1 if self.batch.flash else max(layer.v_width for layer in self.shape.layers)
            self._index[sliding] = (
                self.g.input((self.n,), I64, "k_index"),
                self.g.input((self.n * wide,), I64, "v_index"),
            )
        return self._index[sliding]

    # -- attention ----------------------------------------------------------------------------------------------------

    def _attention(self, il: int, layer: LayerShape, x: Tensor, home: int) -> Tensor:
        if self.shape.mla is not None:
            return self._latent_attention(il, layer, x, home)
        g, n, shape = self.g, self.n, self.shape
        q_width = layer.heads * layer.head_k
        own = layer.has_kv
        k = v = None
        if shape.fused_qkv and own:
            wide = q_width + layer.k_width + layer.v_width
            qkv = self.mm("attn_qkv", il, x, shape.embd, wide, home, n)
            q, k, v = (g.view(qkv, dims) for dims in self._qkv_dims(layer))
            if self.traits.split_qkv:
                q, k, v = (
                    g.view(g.op("CONT", wide, t), wide, same=True)
                    for t, wide in zip((q, k, v), self._qkv_dims(layer), strict=True)
                )
        else:
            gate = 2 if shape.gated_attention else 1
            q = self.mm("attn_q", il, x, shape.embd, q_width * gate, home, n)
            if own:
                k = self.mm("attn_k", il, x, shape.embd, layer.k_width, home, n)
                v = self.mm("attn_v", il, x, shape.embd, layer.v_width, home, n)
            if shape.qkv_bias:
                q = self._biased(q, home)
                k, v = k and self._biased(k, home), v and self._biased(v, home)
            dims = self._qkv_dims(layer)
            self._gate_of = q
            q = g.view(q, dims[0], same=not shape.gated_attention)
            k, v = (t and g.view(t, d, same=True) for t, d in ((k, dims[1]), (v, dims[2])))
        dims = self._qkv_dims(layer)
        if shape.qk_norm:
            q = self.norm(q, home, dims[0])
        if layer.rotary:
            q = g.op("ROPE", dims[0], q, self.positions)
        if k is not None:
            if shape.qk_norm:
                k = self.norm(k, home, dims[1])
            if layer.rotary:
                k = g.op("ROPE", dims[1], k, self.positions)
        if shape.scaled_queries:
            q = g.op("SCALE", dims[0], q)
        return self._attend(il, layer, q, k, v, home)

    def _biased(self, x: Tensor, home: int) -> Tensor:
        return self.g.op("ADD", _dims(x), x, self.g.weight(_dims(x)[0] * F32, home))

    def _qkv_dims(self, layer: LayerShape) -> tuple[tuple[int, int, int], ...]:
        return (
            (layer.head_k, layer.heads, self.n),
            (layer.head_k, layer.kv_heads, self.n),
            (layer.head_v, layer.kv_heads, self.n),
        )

    def _attend(self, il: int, layer: LayerShape, q: Tensor, k: Tensor | None, v: Tensor | None, home: int) -> Tensor:
        g, batch = self.g, self.batch
        mla = self.shape.mla is not None and self.shape.mla.absorbed
        turn_v = v is not None and not mla and self._turns(layer.head_v, batch.v_bytes)
        if not mla and self._turns(layer.head_k, batch.k_bytes):
            q, k = self._turned(q, layer), k and self._turned(k, layer)
        if turn_v and v is not None:
            v = self._turned(v, layer)
        for tensor in (q, v, k) if self.traits.keys_last and not self.shape.window else (q, k, v):
            if tensor is not None:
                g.expand(tensor)
        cells = batch.window_cells if layer.sliding else batch.cells
        if self.shape.encoder and k is not None and v is not None:
            return self._attend_itself(il, layer, q, k, v, home)
        place = self.homes.cache[il]
        k_span = int(cells * batch.streams * layer.k_width * batch.k_bytes)
        v_span = int(cells * batch.streams * layer.v_width * batch.v_bytes)
        k_cache = g.cache(k_span, place, "k_cache")
        v_cache = k_cache if mla and not self.traits.mla_values else g.cache(v_span, place, "v_cache")
        if k is not None and v is not None:
            extra = self._indices(layer.sliding) if self.traits.index_inputs else ()
            g.expand(g.store(k_cache, k, *extra[:1]))
            if v_cache is not k_cache:
                g.expand(g.store(v_cache, v, *extra[1:]))
        k_view = g.view(k_cache, (k_span,), 1)
        v_view = g.view(v_cache, (v_span,), 1)
        mask = self._mask(layer.sliding)
        tokens, heads = self.n // batch.streams, layer.heads
        q_view = g.view(q, (layer.head_k, tokens, heads, batch.streams))
        wide = layer.head_v
        if batch.flash:
            out = g.op(
                "FLASH_ATTN_EXT", (wide, heads, tokens, batch.streams), q_view, k_view, v_view, mask,
                extra=self._flash_extra(layer, cells, heads, mla), tag="flash",
            )  # fmt: skip
            wide, out = self._decompress(il, layer, out, home, wide)
            merged = out
        else:
            scores = g.op("MUL_MAT", (cells, tokens, heads, batch.streams), k_view, q_view, tag="kq")
            for name in ("SCALE", "UNARY", "SCALE") if self.shape.attention_softcap else ():
                scores = g.op(name, (cells, tokens, heads, batch.streams), scores)
            scores = g.op("SOFT_MAX", (cells, tokens, heads, batch.streams), scores, mask, tag="softmax")
            if mla and not self.traits.mla_values:
                v_view = g.op("CONT", (cells, wide, 1, batch.streams), v_view, element=batch.k_bytes, tag="v_cont")
            out = g.op("MUL_MAT", (wide, tokens, heads, batch.streams), v_view, scores, tag="kqv")
            wide, out = self._decompress(il, layer, out, home, wide)
            merged = g.op("CONT", (wide * heads, self.n), g.view(out, (wide, heads, tokens)), tag="kqv_out")
        g.expand(merged)
        if batch.flash:
            merged = g.view(merged, (wide * heads, self.n), same=True)
        if turn_v:
            merged = self._turned(merged, layer)
        if self.shape.gated_attention:
            gate = g.op("CONT", (wide * heads, self.n), g.view(self._gate_of, (wide * heads, self.n)))
            gate = g.op("UNARY", (wide * heads, self.n), gate)
            merged = g.op("MUL", (wide * heads, self.n), merged, gate)
        out = self.mm("attn_output", il, merged, wide * heads, self.shape.embd, home, self.n)
        if self.shape.expert_tensor_bias:
            out = g.op("ADD", (self.shape.embd, self.n), out, g.weight(self.shape.embd * F32, home))
        return out

    def _attend_itself(self, il: int, layer: LayerShape, q: Tensor, k: Tensor, v: Tensor, home: int) -> Tensor:
        """An encoder's attention: over the batch's own keys and values, nothing is kept."""
        g, n, heads, wide = self.g, self.n, layer.heads, layer.head_v
        mask = self._mask(layer.sliding)
        q_view, k_view = g.view(q, (layer.head_k, n, heads)), g.view(k, (layer.head_k, n, layer.kv_heads))
        v_view = g.view(v, (wide, n, layer.kv_heads))
        if self.batch.flash:
            k_half = g.op("CPY", (layer.k_width, n), k_view, element=F16)
            v_half = g.op("CPY", (layer.v_width, n), v_view, element=F16)
            out = g.expand(g.op("FLASH_ATTN_EXT", (wide, heads, n), q_view, k_half, v_half, mask))
            merged = g.view(out, (wide * heads, n), same=True)
        else:
            scores = g.op("MUL_MAT", (n, n, heads), k_view, q_view)
            scores = g.op("SOFT_MAX", (n, n, heads), scores, mask)
            turned = g.op("CONT", (n, wide, layer.kv_heads), v_view)
            out = g.op("MUL_MAT", (wide, n, heads), turned, scores)
            merged = g.expand(g.op("CONT", (wide * heads, n), g.view(out, (wide, heads, n))))
        return self.mm("attn_output", il, merged, wide * heads, self.shape.embd, home, n)

    def _turns(self, head: int, element: float) -> bool:
        """A quantised cache is stored rotated by a Hadamard matrix where heads are multiples of 64."""
        same = len({layer.head_k for layer in self.shape.layers if layer.attention}) == 1
        return self.traits.rotated_cache and element not in (F16, F32) and head % 64 == 0 and same

    def _turned(self, x: Tensor, layer: LayerShape) -> Tensor:
        head = layer.head_k
        order = head & -head
        key = (order, layer.sliding)
        if key not in self._rotations:
            self._rotations[key] = self.g.input((order, order), F32, "rotation")
        dims = _dims(x) if x.layout[0] != "view" else (head, x.nbytes // head // F32)
        flat = self.g.view(x, (order, x.nbytes // order // F32), same=True)
        rows = x.nbytes // order // F32
        out = self.g.op("MUL_MAT", (order, rows), self._rotations[key], flat, rows=rows)
        return self.g.view(out, dims, same=True)

    def _decompress(self, il: int, layer: LayerShape, out: Tensor, home: int, wide: int) -> tuple[int, Tensor]:
        mla = self.shape.mla
        if mla is None or not mla.absorbed:
            return wide, out
        g, heads = self.g, layer.heads
        nbytes = self.shape.tensor_bytes(f"blk.{il}.attn_v_b.weight", wide * mla.value * heads)
        out = g.op("MUL_MAT", (mla.value, self.n, heads), g.weight(nbytes, home), g.view(out, _dims(out)), rows=self.n)
        if self.batch.flash:
            out = g.op("CONT", (mla.value, heads, self.n), g.view(out, (mla.value, heads, self.n)))
        return mla.value, out

    def _flash_extra(self, layer: LayerShape, cells: int, heads: int, mla: bool) -> int:
        batch, rows = self.batch, self.n // self.batch.streams
        if self.homes.cache[0] == self.homes.host or not self.traits.flash_scratch:
            return 0
        if batch.metal:
            return 32 * min(rows, 32) * heads * batch.streams * (layer.head_v + 2) * F32
        extra = 0.0
        if batch.k_bytes != F16:
            extra += cells * batch.streams * layer.k_width * F16
        if batch.v_bytes != F16 and not mla:
            extra += cells * batch.streams * layer.v_width * F16
        return int(extra)

    def _latent_attention(self, il: int, layer: LayerShape, x: Tensor, home: int) -> Tensor:
        """DeepSeek's MLA: absorbed (one shared latent head) or expanded to full heads."""
        g, n, mla = self.g, self.n, self.shape.mla
        assert mla is not None
        heads, nope = layer.heads, mla.key - mla.rope
        if mla.q_rank:
            q = self.mm("attn_q_a", il, x, self.shape.embd, mla.q_rank, home, n)
            q = self.mm("attn_q_b", il, self.norm(q, home), mla.q_rank, heads * mla.key, home, n)
        else:
            q = self.mm("attn_q", il, x, self.shape.embd, heads * mla.key, home, n)
        q_pe = g.view(q, (mla.rope, heads, n))
        latent = self.mm("attn_kv_a_mqa", il, x, self.shape.embd, mla.kv_rank + mla.rope, home, n)
        k_pe = g.view(latent, (mla.rope, 1, n))
        compressed = g.view(latent, (mla.kv_rank, n))
        if mla.absorbed:
            k_pe = g.op("ROPE", (mla.rope, 1, n), k_pe, self.positions)
            compressed = self.norm(compressed, home, (mla.kv_rank, n))
            q_pe = g.op("ROPE", (mla.rope, heads, n), q_pe, self.positions)
            nbytes = self.shape.tensor_bytes(f"blk.{il}.attn_k_b.weight", nope * mla.kv_rank * heads)
            absorbed = g.op("MUL_MAT", (mla.kv_rank, n, heads), g.weight(nbytes, home), g.view(q, (nope, n, heads)), rows=n)
            absorbed = g.view(absorbed, (mla.kv_rank, heads, n))
            wide_q = g.op("CONCAT", (mla.kv_rank + mla.rope, heads, n), absorbed, q_pe)
            value = g.view(compressed, (mla.kv_rank, 1, n), same=True)
            key = g.op("CONCAT", (mla.kv_rank + mla.rope, 1, n), value, k_pe)
            return self._attend(il, layer, wide_q, key, value, home)
        if not self.traits.index_inputs:
            q_pe = g.op("CONT", (mla.rope, heads, n), q_pe) if self.traits.fork else q_pe
        q_pe = g.op("ROPE", (mla.rope, heads, n), q_pe, self.positions)
        k_pe = g.op("ROPE", (mla.rope, 1, n), k_pe, self.positions)
        compressed = self.norm(compressed, home, (mla.kv_rank, n))
        kv = self.mm("attn_kv_b", il, compressed, mla.kv_rank, heads * (nope + mla.value), home, n)
        k_nope = g.view(kv, (nope, heads, n))
        value = g.op("CONT", (mla.value, heads, n), g.view(kv, (mla.value, heads, n)))
        wide_q = g.op("CONCAT", (mla.key, heads, n), g.view(q, (nope, heads, n)), q_pe)
        repeated = g.op("REPEAT", (mla.rope, heads, n), k_pe)
        key = g.op("CONCAT", (mla.key, heads, n), k_nope, repeated)
        return self._attend(il, layer, wide_q, key, value, home)

    def _recurrent(self, il: int, layer: LayerShape, x: Tensor, home: int) -> Tensor:
        del layer
        if self._copies is None:
            self._copies = self.g.input((self.batch.sequences,), I32, "state_rows")
        spot = recurrent.Spot(il, home, self.homes.cache[il], self.batch.sequences, self.n, self._copies)
        return recurrent.layer(self, spot, x)


def _dims(tensor: Tensor) -> tuple[int, ...]:
    """The shape a node was made with; its layout is (element, *shape)."""
    return tuple(int(d) for d in tensor.layout[1:])  # type: ignore[call-overload]
