"""The llama.cpp worker on a machine whose free memory, in bytes, stands in the file that FREE_MEMORY_FILE names."""

import os
from pathlib import Path

from playground.workers import llama, llama_pool
from playground.workers.base import Link


def make(link: Link) -> llama.Llama:
    llama_pool.free_memory = lambda: int(Path(os.environ["FREE_MEMORY_FILE"]).read_text())
    return llama.make(link)
