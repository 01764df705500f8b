"""`struct ggml_tensor` as evaluation callbacks see it: names, operations, values. Knows no model."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import WorkerError
from playground.workers import llama_lib
from playground.workers.llama_lib import ggml


class Tensor(ctypes.Structure):
    """`struct ggml_tensor`, of which a few fields are read (source: ggml.h)."""


Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * 16),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(Tensor) * 10),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * 64),
    ("extra", ctypes.c_void_p),
    ("padding", ctypes.c_char * 8),
]

ggml.ggml_op_name.restype = ctypes.c_char_p
ggml.ggml_op_name.argtypes = [ctypes.c_int]
for _named in (ggml.ggml_unary_op_name, ggml.ggml_glu_op_name):
    _named.restype = ctypes.c_char_p
    _named.argtypes = [ctypes.c_int]
ggml.ggml_backend_buffer_is_host.restype = ctypes.c_bool
ggml.ggml_backend_buffer_is_host.argtypes = [ctypes.c_void_p]
ggml.ggml_backend_tensor_get.restype = None
ggml.ggml_backend_tensor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
ggml.ggml_nbytes.restype = ctypes.c_size_t
ggml.ggml_nbytes.argtypes = [ctypes.c_void_p]


def check_layout() -> None:
    """WorkerError if the library's tensors are not laid out as here: a shifted field would be a wild pointer."""
    llama_lib.start()
    ggml.ggml_tensor_overhead.restype = ctypes.c_size_t
    # An object's head (three pointers and a type, padded) lies before each tensor.
    if ggml.ggml_tensor_overhead() - ctypes.sizeof(Tensor) != 32:
        raise WorkerError("The engine's library is laid out differently than expected.", "Install llama-cpp-python again.")


def name_of(tensor: Tensor) -> str:
    """Without the device and copy that a scheduler may have put around it (`CUDA0#blk.0.attn_k.weight#0`)."""
    parts = tensor.name.decode("utf-8", "replace").split("#")
    return str(parts[1] if len(parts) > 1 else parts[0])


def values_of(tensor: Tensor, kind: Any = np.float32) -> NDArray[Any]:
    """A tensor's values, slowest axis first, [ne3, ne2, ne1, ne0], wherever it lies. Valid until the callback returns."""
    size = ggml.ggml_nbytes(ctypes.addressof(tensor))
    if ggml.ggml_backend_buffer_is_host(tensor.buffer):
        raw = np.ctypeslib.as_array(ctypes.cast(tensor.data, ctypes.POINTER(ctypes.c_uint8)), (size,))
    else:
        raw = np.empty(size, np.uint8)
        ggml.ggml_backend_tensor_get(ctypes.addressof(tensor), raw.ctypes.data, 0, size)
    shape = tuple(reversed(tensor.ne))
    return np.lib.stride_tricks.as_strided(raw[:4].view(kind), shape, tuple(reversed(tensor.nb)), writeable=False)
