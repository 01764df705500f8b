"""The llama.cpp library itself: loading it, checking that its structures are the ones we think, its log, its devices.

Everything else of the engine takes `C` (the low-level functions) from here. Knows no model.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import logging
import re
import sys
import types
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import WorkerError
from playground.workers import token_stats, waiting

log = logging.getLogger("llama.cpp")


def _import_low_level() -> Any:
    """`llama_cpp.llama_cpp` without the package's `__init__`, which imports a whole server's worth of modules (0.3 s)."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        raise WorkerError("The engine for GGUF models (llama-cpp-python) is not installed.", "Run ./packaging/run again.")
    if "llama_cpp" not in sys.modules:
        package = types.ModuleType("llama_cpp")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["llama_cpp"] = package
    try:
        return importlib.import_module("llama_cpp.llama_cpp"), importlib.import_module("llama_cpp._ggml").libggml
    except (OSError, RuntimeError, AttributeError, ImportError) as error:
        raise WorkerError(f"The engine for GGUF models cannot be loaded: {error}.", "Install it again.") from error


C, ggml = _import_low_level()
_waiting = waiting.Waiting()

ggml.ggml_version.restype = ctypes.c_char_p
ggml.ggml_commit.restype = ctypes.c_char_p
ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
for _name in ("ggml_backend_dev_name", "ggml_backend_dev_description"):
    getattr(ggml, _name).restype = ctypes.c_char_p
    getattr(ggml, _name).argtypes = [ctypes.c_void_p]
ggml.ggml_backend_dev_type.restype = ctypes.c_int
ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
ggml.ggml_backend_dev_memory.restype = None
ggml.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)]
ggml.ggml_backend_cpu_buffer_type.restype = ctypes.c_void_p


logits_address = C._lib["llama_get_logits_ith"]
"""`(context, place in the batch)`: where the row of logits begins, None for a place without one"""
logits_address.restype = ctypes.c_void_p
logits_address.argtypes = [C.llama_context_p_ctypes, ctypes.c_int32]


def decode(context: Any, batch: Any) -> int:
    """`llama_decode`, and how its threads wait for each other while it computes. Its code: 0 for done."""
    _waiting.look()
    code = int(C.llama_decode(context, batch))
    _waiting.done()
    return code


try:
    _vec_soft_max = ggml.ggml_vec_soft_max_f32
    _vec_soft_max.restype = ctypes.c_double
    _vec_soft_max.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_float]
except AttributeError:  # not exported everywhere
    _vec_soft_max = None


def exponentials(logits: NDArray[np.float32], peak: float, out: NDArray[np.float32]) -> float:
    """exp(logits - peak) into `out`; gives back their sum. The library's is several times as fast as numpy's."""
    if _vec_soft_max is None:
        return token_stats.exponentials(logits, peak, out)
    return float(_vec_soft_max(len(logits), out.ctypes.data, logits.ctypes.data, peak))


@dataclass(frozen=True)
class Device:
    """A device that the library can compute on; memory in bytes."""

    name: str
    description: str
    gpu: bool
    free: int
    total: int


class Log:
    """The library's log: joined into lines, kept for a while, forwarded to Python's."""

    _LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=2000)
        self.expected = ""
        """a line with this in it is nothing to warn of"""
        self._part = ""
        self._level = logging.DEBUG
        self._callback = C.llama_log_callback(self._hear)  # kept: a collected callback is a crash

    def install(self) -> None:
        C.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _hear(self, level: int, text: bytes, _: Any) -> None:
        try:
            if level != 5:  # 5 continues the line before
                self._level = self._LEVELS.get(level, logging.DEBUG)
            self._part += text.decode("utf-8", "replace")
            *whole, self._part = self._part.split("\n")
            for line in whole:
                if line.strip(" ."):
                    self.lines.append(line)
                    is_expected = self.expected and self.expected in line
                    log.log(logging.DEBUG if is_expected else self._level, "%s", line)
        except Exception:  # an exception must not travel through C
            self._part = ""

    def problem(self) -> str:
        """The library's own words for what went wrong last, without function names; empty if it said nothing."""
        for line in reversed(self.lines):
            found = re.match(r"^\w+: (?:error|failed)?.*?(error loading model(?: \w+)?: |error: )(.*)$", line)
            if found:
                return found[2].strip()
        return ""


library_log = Log()
_started = False


def start() -> None:
    """Starts the library once: log, structure check, backends. WorkerError if the library is another one than the bindings are for."""
    global _started
    if _started:
        return
    library_log.install()
    _check_structures()
    C.llama_backend_init()
    _started = True


def _check_structures() -> None:
    """Compares the structures' defaults with what the library's headers say: a shifted field must not become a wild pointer."""
    model, context = C.llama_model_default_params(), C.llama_context_default_params()
    expected = [
        (model.load_mode, (-1, 1)),
        (model.split_mode, (1,)),
        (model.main_gpu, (0,)),
        (model.vocab_only, (False,)),
        (model.check_tensors, (False,)),
        (model.use_extra_bufts, (True,)),
        (model.no_alloc, (False,)),
        (context.n_ctx, (512,)),
        (context.n_batch, (2048,)),
        (context.n_ubatch, (512,)),
        (context.n_seq_max, (1,)),
        (context.flash_attn_type, (-1,)),
        (context.yarn_ext_factor, (-1.0,)),
        (context.type_k, (C.GGML_TYPE_F16,)),
        (context.type_v, (C.GGML_TYPE_F16,)),
        (context.offload_kqv, (True,)),
        (context.embeddings, (False,)),
        (context.kv_unified, (False,)),
        (context.n_samplers, (0,)),
    ]
    if any(value not in allowed for value, allowed in expected):
        raise WorkerError(
            "The engine's library and its Python bindings do not belong together.", "Install llama-cpp-python again."
        )


def build() -> str:
    """Which llama.cpp this is, for the record: `llama-cpp-python 0.3.36, ggml 0.25.3 (0c1e570)`."""
    version = ggml.ggml_version().decode()
    commit = ggml.ggml_commit().decode().removesuffix("-dirty")
    try:
        bindings = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        bindings = "unknown"
    return f"llama-cpp-python {bindings}, ggml {version} ({commit})"


def system() -> dict[str, str]:
    """What the library was built with and found, such as `AVX2` or `AMX_INT8`, each `"1"`."""
    text = C.llama_print_system_info().decode("utf-8", "replace")
    return dict(re.findall(r"(\w+) = (\w+)", text))


def devices() -> list[Device]:
    """All devices, the processor among them."""
    found = []
    for place in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(place)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        kind = ggml.ggml_backend_dev_type(device)
        if kind in (0, 1, 2):  # CPU, GPU, integrated GPU; accelerators belong to the CPU
            name = ggml.ggml_backend_dev_name(device).decode("utf-8", "replace")
            about = ggml.ggml_backend_dev_description(device).decode("utf-8", "replace")
            found.append(Device(name, about, kind != 0, free.value, total.value))
    return found
