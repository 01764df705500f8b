"""A second context on a loaded GGUF model, for several sequences that may need more cells than the first one has.

The first context holds one window, which is shared by all sequences of a batch. In a pool each can reach the window by itself, as it would
alone; of the model's weights there is nothing twice. A pool stays for the next group that it is large enough for, as long as at least as
much memory is free as it takes: a chat needs none beside its own context, but other programs might.

Where less fits than is wanted, the pool is as large as fits, and sequences end when it is full (see `decode_loop`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from playground.errors import ModelFileError
from playground.models.gguf_header import merge_splits, open_gguf, split_names
from playground.workers.llama_adapter import Adapter
from playground.workers.llama_lib import C, library_log
from playground.workers.llama_model import Model
from playground.workers.machine import free_memory

log = logging.getLogger(__name__)

STEP = 256
"""cells; the library rounds counts up to it"""


class Pool:
    """A context as `llama_cache.Cache` wants one. Ends with its model at the latest."""

    def __init__(self, model: Model, handle: Any, sequences: int) -> None:
        self.model = model
        self.context_handle = handle
        self.memory = C.llama_get_memory(handle)
        self.n_ctx = int(C.llama_n_ctx(handle))
        self.n_batch, self.n_ubatch = model.n_batch, model.n_ubatch
        self.window, self.look_back = model.window, model.look_back
        self.sequences = sequences
        self.unified = True
        self.adapter_scale = 0.0
        model.others.append(self)

    @property
    def adapter(self) -> Adapter | None:
        return self.model.adapter

    def set_scale(self, scale: float) -> None:
        """Of the adapter, in what is computed here from now on."""
        if self.adapter is not None and scale != self.adapter_scale:
            self.adapter.set_scale(self.context_handle, scale)
            self.adapter_scale = scale

    def close(self) -> None:
        if self.context_handle:
            C.llama_free(self.context_handle)
            self.context_handle = None
            self.model.others.remove(self)


class Pools:
    """The pool of a model: none at first, and at most one."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.pool: Pool | None = None

    def wanted(self, shared: int, growth: Sequence[int]) -> bool:
        """Whether sequences that share so many tokens, and may each need so many cells more, have to have one."""
        model = self._model
        cells = shared + sum(growth)
        if not model.unified or not growth or C.llama_model_is_recurrent(model.handle):  # a state a sequence, no cells
            return False
        window_cells = -(-(model.look_back * model.sequences + model.n_ubatch) // STEP) * STEP
        tight = model.look_back and len(growth) >= model.sequences and cells > window_cells
        return cells > model.n_ctx or bool(tight)

    def get(self, cells: int) -> Pool | None:
        """One of so many cells, or as many as there is memory for. None if the loaded context has as much room."""
        pool = self.pool
        if pool is not None and pool.n_ctx >= cells:
            return pool
        try:
            most = self._affordable(cells)
        except ModelFileError as error:
            log.warning("there is no telling what a pool would take: %s", error.message)
            return None
        if pool is not None and pool.n_ctx >= most:
            return pool
        self.close()
        least = min(self._model.n_ctx, cells) + (0 if self._model.look_back else 1)
        while most >= least:
            if handle := self._open(most):
                self.pool = Pool(self._model, handle, self._sequences)
                if most < cells:
                    log.warning("%d cells were wanted for the sequences; there is memory for %d", cells, self.pool.n_ctx)
                return self.pool
            most = (self._model.n_ctx + most) // 2 // STEP * STEP if most - self._model.n_ctx > STEP else 0
        return None

    def close_if_dear(self) -> None:
        """Gives the pool's memory back unless at least as much is free beside it."""
        if self.pool is not None and any(one.terms.total > one.device.free for one in self._fit(self.pool.n_ctx)):
            self.close()

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
            self.pool = None

    # -- how large it can be

    def _affordable(self, cells: int) -> int:
        from playground.memory.pool import largest_pool  # a quarter of a second that loading a model should not take

        model, shape = self._model, self._shape
        cells = -(-cells // STEP) * STEP
        long = any("rope_factors_long" in name for name in shape.tensors)
        trained = int(model.header.get("rope.scaling.original_context_length") or model.header.get("context_length", 0))
        if long and model.n_ctx <= trained:
            cells = min(cells, trained // STEP * STEP)  # the library turns by other angles in every longer context
        on_host = model.header.weight_bytes if model.gpu_layers == 0 else 0
        devices = self._devices(self._fit(self.pool.n_ctx) if self.pool else ())
        return largest_pool(shape, self._settings, cells, devices, model.gpu_layers, on_host)

    def _fit(self, cells: int) -> Any:
        from playground.memory.pool import pool_fit

        return pool_fit(self._shape, self._settings, cells, self._devices(), self._model.gpu_layers)

    def _devices(self, freed: Any = ()) -> Any:
        from playground.memory.devices import HOST, Device

        gives = {one.device.name: one.terms.total for one in freed}
        found = [Device(each.name, each.description, each.total, each.free, True) for each in self._model.gpus]
        return [each.with_freed(gives.get(each.name, 0)) for each in (*found, Device(HOST, "", 1 << 62, free_memory()))]

    @cached_property
    def _shape(self) -> Any:
        from playground.memory.sources import shape_from_gguf

        path = self._model.path
        parts = [open_gguf(path.parent / part) for part in split_names(path.name)]
        return shape_from_gguf(merge_splits(parts) if len(parts) > 1 else self._model.header)

    @cached_property
    def _sequences(self) -> int:
        from playground.memory.pool import pool_sequences

        return pool_sequences(self._model.look_back, self._model.sequences)

    @cached_property
    def _settings(self) -> Any:
        return replace(self._model.settings, context=self._model.window)

    def _open(self, cells: int) -> Any:
        """A context of so many cells, set as the loaded one is: what is computed in it is the same to the last bit."""
        model = self._model
        params = C.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch, params.n_ubatch = model.n_batch, model.n_ubatch
        params.n_seq_max = params.n_outputs_max = self._sequences
        params.n_threads = params.n_threads_batch = model.threads
        params.kv_unified = True
        params.swa_full = False
        model.set_attention(params)
        library_log.expected = "n_ctx_train"  # more cells than a text can have tokens: they are of several texts
        try:
            return C.llama_init_from_model(model.handle, params)
        finally:
            library_log.expected = ""
