"""What this computer has to hold a model: main memory and, where there are any, graphics cards.

psutil for main memory, NVML for NVIDIA cards; neither a missing driver nor a missing library raises: then there is
the host alone. On Apple silicon the graphics processor shares main memory; its share is Metal's usual limit
(modelled: three quarters of it).
"""

from __future__ import annotations

import contextlib
import platform
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import psutil

HOST = "CPU"


@dataclass(frozen=True, slots=True)
class Device:
    """A place for tensors; `total` and `free` in bytes. `name` is llama.cpp's ("CPU", "CUDA0"), `label` a person's."""

    name: str
    label: str
    total: int
    free: int
    is_gpu: bool = False

    def with_freed(self, nbytes: int) -> Device:
        """The device once something holding `nbytes` on it is gone."""
        return replace(self, free=min(self.total, self.free + max(nbytes, 0)))


def find_devices() -> list[Device]:
    """GPUs in the driver's order, the host last. Never raises; a CPU-only machine gives the host alone."""
    return [*_nvidia(), *_apple(), host()]


def host() -> Device:
    """Main memory: what can be had without swapping."""
    memory = psutil.virtual_memory()
    label = platform.processor() or platform.machine() or "processor"
    return Device(HOST, label, int(memory.total), int(memory.available))


@cache
def repacked_formats() -> frozenset[str]:
    """Formats that llama.cpp copies into another order for this processor (ggml-cpu/repack.cpp, build of 2026-11)."""
    machine, flags = platform.machine().lower(), _processor_flags()
    if machine in ("arm64", "aarch64"):
        if flags and "asimddp" not in flags:
            return frozenset()
        return frozenset({"q4_0", "iq4_nl", "mxfp4", "q8_0", "q4_k", "q5_k", "q6_k"})
    if machine not in ("x86_64", "amd64") or (flags and "avx2" not in flags) or "amx_int8" in flags:
        return frozenset()  # with AMX our worker asks for no copies
    return frozenset({"q4_0", "iq4_nl", "mxfp4", "q4_k"} | ({"q2_k"} if "avx512f" in flags else set()))


def _processor_flags() -> frozenset[str]:
    """As Linux names them; empty elsewhere, where AVX2 is taken for granted."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def _nvidia() -> list[Device]:
    found: list[Device] = []
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pynvml

        pynvml.nvmlInit()
        try:
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
                name = pynvml.nvmlDeviceGetName(handle)
                label = name.decode() if isinstance(name, bytes) else str(name)
                found.append(Device(f"CUDA{index}", label, int(memory.total), int(memory.free), True))
        finally:
            pynvml.nvmlShutdown()
    return found


def _apple() -> list[Device]:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return []
    memory = psutil.virtual_memory()
    limit = int(memory.total * 0.75)
    return [Device("MTL0", "Apple graphics", limit, min(limit, int(memory.available)), True)]
