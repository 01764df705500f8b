"""A loaded GGUF model with its context: loading, what it says of itself, its vocabulary.

Decodes nothing; `llama_engine` does.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, MemoryShortError, ModelFileError
from playground.models.ggml_types import BY_NAME, FILE_TYPES, row_bytes
from playground.models.gguf_header import GgufHeader
from playground.params import ContextSettings
from playground.protocol import MemoryTerm, ModelInfo
from playground.workers import llama_lib
from playground.workers.llama_adapter import Adapter
from playground.workers.llama_file import check_model_file
from playground.workers.llama_lib import C, ggml, library_log
from playground.workers.machine import amount, free_memory, usable_cores

log = logging.getLogger(__name__)

DEFAULT_CONTEXT = 8192
"""The window where the user leaves it to us and the model was trained for more."""

ONE_THREAD = 64 << 20
"""Bytes of weights below which one thread is taken: waking a second one, some hundred times a token, costs more than it computes
(the starter on 2 cores: 535 tokens a second with one thread, 340 with two)."""
_MARGIN = 256 << 20
"""Bytes that stay free for the compute buffers and everything else."""

_TYPES = {
    "f32": C.GGML_TYPE_F32,
    "f16": C.GGML_TYPE_F16,
    "bf16": 30,
    "q8_0": C.GGML_TYPE_Q8_0,
    "q5_1": C.GGML_TYPE_Q5_1,
    "q5_0": C.GGML_TYPE_Q5_0,
    "q4_1": C.GGML_TYPE_Q4_1,
    "q4_0": C.GGML_TYPE_Q4_0,
    "iq4_nl": C.GGML_TYPE_IQ4_NL,
}
_FLASH = {"auto": -1, "off": 0, "on": 1}
_BUFFERS = {"model": "weights", "KV": "kv_cache", "RS": "kv_cache", "compute": "compute", "output": "output"}


class Model:
    """`handle`, `context_handle` and `vocab` are the library's pointers. Close it, or its memory stays taken."""

    dry = False
    """whether memory is only counted and no weights are read: nothing can be decoded then"""

    def __init__(
        self,
        path: Path,
        settings: ContextSettings,
        check_tensors: bool = False,
        on_progress: Callable[[float], bool] = lambda fraction: True,
    ) -> None:
        """Loads. `on_progress` gets fractions from 0 to 1 and answers whether to go on. ModelFileError, MemoryShortError, Cancelled."""
        self.path = path
        self.settings = settings
        self.handle: Any = None
        self.context_handle: Any = None
        self.others: list[Any] = []
        """further contexts on its weights, which end before it"""
        self.header = check_model_file(path)
        llama_lib.start()
        library_log.lines.clear()
        self.devices = llama_lib.devices()
        self.gpus = [each for each in self.devices if each.gpu] if C.llama_supports_gpu_offload() else []
        try:
            self.handle = self._load(settings, check_tensors, on_progress)
            self.vocab = C.llama_model_get_vocab(self.handle)
            self._refuse_other_kinds()
            self.threads = settings.threads or (1 if self.header.weight_bytes < ONE_THREAD else usable_cores())
            self.context_handle = self._open_context(settings)
        except BaseException:
            self.close()
            raise
        self.memory = C.llama_get_memory(self.context_handle)
        self.n_vocab = C.llama_vocab_n_tokens(self.vocab)
        self.n_ctx = C.llama_n_ctx(self.context_handle)
        self.window = C.llama_n_ctx_seq(self.context_handle)
        """tokens that one sequence can hold"""
        self.n_batch = C.llama_n_batch(self.context_handle)
        self.n_ubatch = C.llama_n_ubatch(self.context_handle)
        self.sequences = settings.sequences
        self.unified = settings.unified_kv
        self.look_back = max(0, C.llama_model_n_swa(self.handle))
        """tokens that layers with a sliding window see, 0 where there are none"""
        self.adapter: Adapter | None = None
        self.adapter_scale = 0.0
        """in force for what is computed next; 0 without an adapter"""
        self._pieces: dict[int, bytes] = {}
        self._labels: dict[int, str] = {}
        self._buffer = ctypes.create_string_buffer(256)

    def close(self) -> None:
        for each in list(self.others):
            each.close()
        if self.context_handle:
            C.llama_free(self.context_handle)
        if self.handle:
            C.llama_model_free(self.handle)
        self.context_handle = self.handle = None

    # -- adapter

    def put_on(self, path: Path) -> None:
        """Puts an adapter on, at no scale yet. NotFoundError, ModelFileError if it does not belong to this model."""
        adapter = Adapter(path, self.path, self.header)
        adapter.attach(self.handle)
        self.adapter = adapter

    def set_scale(self, scale: float) -> None:
        """How much of the adapter is in what is computed from now on. Without one, or at the scale in force, nothing happens."""
        if self.adapter is not None and scale != self.adapter_scale:
            self.adapter.set_scale(self.context_handle, scale)
            self.adapter_scale = scale

    # -- what it says of itself

    def info(self, sha256: str = "") -> ModelInfo:
        header, handle = self.header, self.handle
        file_type = header.metadata.get("general.file_type")
        name = header.metadata.get("general.name")
        return ModelInfo(
            path=str(self.path),
            name=name.strip() if isinstance(name, str) and name.strip() else self.path.stem,
            architecture=header.architecture,
            parameters=C.llama_model_n_params(handle),
            size=C.llama_model_size(handle),
            quantization=FILE_TYPES.get(file_type, "") if isinstance(file_type, int) else "",
            layers=C.llama_model_n_layer(handle),
            heads=C.llama_model_n_head(handle),
            vocabulary=self.n_vocab,
            trained_context=C.llama_model_n_ctx_train(handle),
            context=self.window,
            has_template=self.template is not None,
            engine="llama.cpp",
            engine_build=llama_lib.build(),
            device=self.device,
            memory=memory_terms(library_log.lines),
            sha256=sha256,
            adapter=str(self.adapter.path) if self.adapter else "",
            adapter_sha256=self.adapter.sha256 if self.adapter else "",
        )

    @property
    def device(self) -> str:
        """`CPU`, or the graphics devices by name."""
        used = [each for each in self.gpus if self.gpu_layers]
        return ", ".join(f"{each.name} ({each.description})" for each in used) or "CPU"

    @property
    def template(self) -> str | None:
        """The chat template in the file, None without."""
        text = C.llama_model_chat_template(self.handle, None)
        return text.decode("utf-8", "replace") if text else None

    # -- vocabulary

    def piece(self, token: int) -> bytes:
        """The bytes of a token in the text; none for control tokens."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._piece(token, special=False)
        return found

    def label(self, token: int) -> str:
        """A token to show: control tokens by name, incomplete characters as a replacement mark."""
        found = self._labels.get(token)
        if found is None:
            found = self._labels[token] = self._piece(token, special=True).decode("utf-8", "replace")
        return found

    def is_end(self, token: int) -> bool:
        return bool(C.llama_vocab_is_eog(self.vocab, token))

    def is_special(self, token: int) -> bool:
        return bool(C.llama_vocab_is_control(self.vocab, token))

    def special_text(self, token: int) -> str:
        """The text of a special token by id, empty for an id below 0 (the vocabulary has none)."""
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def bos(self) -> str:
        return self.special_text(C.llama_vocab_bos(self.vocab))

    def eos(self) -> str:
        return self.special_text(C.llama_vocab_eos(self.vocab))

    def first_token(self) -> int:
        """What a prompt of no tokens is replaced with: a model must be asked something."""
        bos = C.llama_vocab_bos(self.vocab)
        return bos if bos >= 0 else max(0, C.llama_vocab_eos(self.vocab))

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, special ones recognised. A beginning-of-text token comes first where the model wants one and has none."""
        data = text.encode("utf-8", "replace")
        bos = self.bos()
        add_special = not (bos and text.startswith(bos))
        room = len(data) + 16
        while True:
            found = (C.llama_token * room)()
            count = C.llama_tokenize(self.vocab, data, len(data), found, room, add_special, True)
            if count >= 0:
                return list(found[:count])
            if count == -(1 << 31):
                raise ModelFileError("The text is too long to be cut into tokens.", "Shorten it.")
            room = -count

    def _piece(self, token: int, special: bool) -> bytes:
        count = C.llama_token_to_piece(self.vocab, token, self._buffer, len(self._buffer), 0, special)
        if count < 0:
            self._buffer = ctypes.create_string_buffer(-count)
            count = C.llama_token_to_piece(self.vocab, token, self._buffer, len(self._buffer), 0, special)
        return self._buffer.raw[: max(count, 0)]

    # -- loading

    def _load(self, settings: ContextSettings, check_tensors: bool, on_progress: Callable[[float], bool]) -> Any:
        params = C.llama_model_default_params()
        params.check_tensors = check_tensors
        if llama_lib.system().get("AMX_INT8") == "1":
            params.use_extra_bufts = False  # its repacked kernels crash where some compilers drop stores: see findings.md
        if self.dry:
            params.no_alloc, params.load_mode = True, C.LLAMA_LOAD_MODE_NONE
        self.gpu_layers = self._choose_gpu_layers(settings)
        params.n_gpu_layers = self.gpu_layers
        overrides = _experts_on_cpu(settings.experts_on_cpu) if self.gpus else None
        if overrides is not None:
            params.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
        stopped = False

        def progress(fraction: float, _: Any) -> bool:
            nonlocal stopped
            try:
                stopped = stopped or not on_progress(min(1.0, fraction))
            except Exception:  # must not travel through C
                log.exception("progress")
            return not stopped

        params.progress_callback = callback = C.llama_progress_callback(progress)
        handle = C.llama_model_load_from_file(os.fsencode(self.path), params)
        del callback
        if handle:
            return handle
        if stopped:
            raise Cancelled("Loading was stopped.")
        said = library_log.problem()
        if "unknown model architecture" in said:
            raise ModelFileError(
                f"{self.path.name} is a model of the kind '{self.header.architecture}', which this engine does not know.",
                "Get a newer version of the program, or another model.",
            )
        if "alloc" in said:
            raise MemoryShortError(f"There is not enough memory for the weights of {self.path.name}.", "Take a smaller model.")
        if "check_tensors" in said or "invalid data" in said:
            raise ModelFileError(f"The weights in {self.path.name} are damaged.", "Download it again.")
        because = f" ({said[:160]})" if said else ""
        raise ModelFileError(
            f"{self.path.name} cannot be loaded: it is damaged or incomplete{because}.",
            "Download it again, or choose another file.",
        )

    def _refuse_other_kinds(self) -> None:
        if C.llama_model_has_encoder(self.handle) or not C.llama_model_has_decoder(self.handle):
            raise ModelFileError(f"{self.path.name} is no model for writing text (it has an encoder).", "Choose another one.")
        if C.llama_vocab_n_tokens(self.vocab) < 1:
            raise ModelFileError(f"{self.path.name} has no vocabulary.", "Choose a complete GGUF file of this model.")

    def _choose_gpu_layers(self, settings: ContextSettings) -> int:
        """As many layers as the free memory of the graphics devices holds, by the size of the weights; all where they fit."""
        if not self.gpus:
            return 0
        if settings.gpu_layers >= 0:
            return settings.gpu_layers
        layers = int(self.header.get("block_count", 0)) + 1
        free = sum(each.free for each in self.gpus) * 0.9 - (512 << 20)
        window = settings.context or min(DEFAULT_CONTEXT, self._trained())
        needed = self.header.weight_bytes + window * self._kv_bytes_per_token(settings)
        return layers if needed <= free else max(0, int(layers * free / needed))

    def _trained(self) -> int:
        return int(self.header.get("context_length", DEFAULT_CONTEXT))

    def _kv_bytes_per_token(self, settings: ContextSettings) -> int:
        return kv_bytes_per_token(self.header, settings.kv_type_k, settings.kv_type_v)

    def _window(self, settings: ContextSettings) -> int:
        """The context window in tokens. MemoryShortError for one whose cache cannot fit, before anything is allocated."""
        each = self._kv_bytes_per_token(settings)
        on_cpu = not self.gpus or self.gpu_layers == 0
        room = max(0, free_memory() - _MARGIN) if on_cpu else 1 << 62
        if settings.context == 0:
            window = min(self._trained(), DEFAULT_CONTEXT)
            return max(512, min(window, room // max(1, each) // 256 * 256))
        if settings.context * each > room:
            fits = room // max(1, each) // 256 * 256
            raise MemoryShortError(
                f"A context window of {settings.context:,} tokens needs {amount(settings.context * each)} of memory; "
                f"{amount(room)} are free.",
                f"Take at most {fits:,} tokens, a smaller cache type, or close other programs."
                if fits >= 512
                else "Close other programs, or take a smaller model.",
            )
        return settings.context

    def set_attention(self, params: Any) -> None:
        """Parameters of a context: the cache's types and flash attention, as the settings have them."""
        settings = self.settings
        params.type_k, params.type_v = _TYPES[settings.kv_type_k], _TYPES[settings.kv_type_v]
        quantized = settings.kv_type_v not in ("f32", "f16", "bf16")
        params.flash_attn_type = 1 if quantized else _FLASH[settings.flash_attention]

    def _open_context(self, settings: ContextSettings) -> Any:
        params = C.llama_context_default_params()
        window = self._window(settings)
        params.n_ctx = window if settings.unified_kv else window * settings.sequences
        params.n_batch = min(settings.batch, window)
        params.n_ubatch = min(settings.ubatch, params.n_batch)
        params.n_seq_max = settings.sequences
        params.n_outputs_max = settings.sequences  # one row of logits a sequence, not one for every token of a batch
        params.n_threads = params.n_threads_batch = self.threads
        params.kv_unified = settings.unified_kv
        params.swa_full = False  # layers that look back less far keep less: `memory` counts on it, `Cache` lives with it
        self.set_attention(params)
        handle = C.llama_init_from_model(self.handle, params)
        if not handle:
            said = library_log.problem() or next((line for line in reversed(library_log.lines) if "failed" in line), "")
            raise MemoryShortError(
                f"A context window of {window:,} tokens could not be set up{f' ({said[:160]})' if said else ''}.",
                "Take a smaller one, or another cache type.",
            )
        return handle


def kv_bytes_per_token(header: GgufHeader, type_k: str, type_v: str) -> int:
    """Bytes of cache that one token takes, over all layers; an upper bound where layers look back less far than others."""
    layers = int(header.get("block_count", 0))
    heads = header.get("attention.head_count", 0)
    groups = header.get("attention.head_count_kv", heads)

    def each(value: Any) -> list[int]:
        return [int(item) for item in value] if isinstance(value, list) else [int(value)] * layers

    counts = each(groups)
    most = max(each(heads) or [0])
    width = int(header.get("embedding_length", 0)) // most if most else 0
    key, value = int(header.get("attention.key_length", width)), int(header.get("attention.value_length", width))
    if header.get("attention.kv_lora_rank") and header.get("attention.key_length_mla"):  # latent attention keeps one head
        counts = [1] * layers
    return sum(
        row_bytes(BY_NAME[type_k], count * key) + row_bytes(BY_NAME[type_v], count * value)
        for count in counts[:layers]
        if count
    )


def memory_terms(lines: Any) -> tuple[MemoryTerm, ...]:
    """The sizes of buffers as the library logged them, added up by device and kind."""
    found: dict[tuple[str, str], int] = {}
    for line in lines:
        match = re.search(r":\s+(\S+)\s+(model|KV|RS|compute|output) buffer size =\s*([\d.]+) MiB", line)
        if match:
            device = "CPU" if match[1].startswith("CPU") else match[1].removesuffix("_Host").removesuffix("_Mapped")
            key = (device, _BUFFERS[match[2]])
            found[key] = found.get(key, 0) + round(float(match[3]) * (1 << 20))
    return tuple(MemoryTerm(device, kind, count) for (device, kind), count in found.items())


class _Override(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p)]


def _experts_on_cpu(layers: int) -> Any:
    """The library's list of tensors that stay in main memory: the experts of the first so many layers. None for 0."""
    if layers <= 0:
        return None
    cpu = ggml.ggml_backend_cpu_buffer_type()
    entries = [_Override(f"blk\\.{layer}\\.ffn_(up|down|gate|gate_up)_exps".encode(), cpu) for layer in range(layers)]
    return (_Override * (len(entries) + 1))(*entries, _Override(None, None))
