"""A model folder in Hugging Face layout as the quality report sees it, through transformers: bf16 and float weights, NF4 and int8.

The same face as `measure_llama.Gguf`. Knows no report. Only safetensors are loaded, and nothing from the network.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import Cancelled, ModelFileError, WorkerError
from playground.workers.machine import resident

PROMPT, DECODED, TIMED_S = 512, 32, 2.0
"""as in `measure_llama`, so that speeds can be held beside each other"""
CHUNK = 128
"""tokens of a forward pass: a cancel is heard between two"""


class Folder:
    """Loaded at once. ModelFileError for a folder that cannot be."""

    def __init__(self, path: Path, stop: Callable[[], bool], on_progress: Callable[[float], None]) -> None:
        self.path, self._stop = path, stop
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            import torch
            import transformers
        except ImportError as error:
            raise WorkerError("The libraries for model folders are not installed.", "Run ./packaging/run again.") from error
        self._torch = torch
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        before = resident()
        on_progress(0.2)
        self._before = before
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
            self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                path, dtype="auto", local_files_only=True, use_safetensors=True
            )
        except Exception as error:  # whatever a broken folder makes of these libraries
            said = str(error).strip().split("\n")[0][:160] or type(error).__name__
            raise ModelFileError(f"{path.name} cannot be loaded ({said}).", "Choose a complete model folder.") from error
        self._model.eval()
        config = self._model.config
        self.name = path.name
        self.n_vocab = int(self._model.get_output_embeddings().weight.shape[0])
        self.quantization = _quantization(config, self._model)
        self.size = sum(each.stat().st_size for each in path.glob("*.safetensors"))
        count = _parameters(self._model)
        self.bits_per_weight = 8 * self.size / count if count else 0.0
        self.prompt_tokens_per_s = self.decode_tokens_per_s = 0.0
        self.resident = 0

    def close(self) -> None:
        self._model = None
        gc.collect()

    @property
    def bos(self) -> int | None:
        """The token that every window begins with: what the tokenizer puts before a text, if it puts anything there."""
        bos = self._tokenizer.bos_token_id
        begun = self._tokenizer("a").input_ids
        return int(bos) if bos is not None and begun and begun[0] == bos else None

    def tokenize(self, text: str, special: bool) -> list[int]:
        """The tokens of a text, without a beginning-of-text token. `special`: control tokens in it are recognised."""
        found = self._tokenizer(text, add_special_tokens=False, split_special_tokens=not special, verbose=False).input_ids
        return [int(each) for each in found]

    def try_out(self, tokens: Sequence[int]) -> None:
        """Measures speed and memory as a chat would have them. Medians; the first pass is not counted."""
        prompt, rest = list(tokens[:PROMPT]), list(tokens[PROMPT : PROMPT + DECODED] or tokens[:DECODED])
        self._pass(prompt[:DECODED], None)
        prompts: list[float] = []
        decodes: list[float] = []
        started = time.perf_counter()
        while len(prompts) < 5 and (not prompts or time.perf_counter() - started < TIMED_S):
            at = time.perf_counter()
            cache = None
            for start in range(0, len(prompt), CHUNK):
                _, cache = self._pass(prompt[start : start + CHUNK], cache)
            then = time.perf_counter()
            for token in rest:
                _, cache = self._pass([token], cache)
            decodes.append(len(rest) / (time.perf_counter() - then))
            prompts.append(len(prompt) / (then - at))
        self.prompt_tokens_per_s, self.decode_tokens_per_s = statistics.median(prompts), statistics.median(decodes)
        self.resident = max(0, resident() - self._before)

    def score(self, window: Sequence[int], first: int) -> Iterator[NDArray[np.float32]]:
        """The logits after each token from `first` to the last but one, in parts of shape [positions, vocabulary]."""
        cache = None
        for start in range(0, len(window), CHUNK):
            part = list(window[start : start + CHUNK])
            begin, end = max(0, first - start), min(len(part), len(window) - 1 - start)
            logits, cache = self._pass(part, cache, max(0, len(part) - begin))
            if begin < end:
                yield logits[: end - begin]

    def _pass(self, tokens: Sequence[int], cache: Any, kept: int = 1) -> tuple[NDArray[np.float32], Any]:
        """One forward pass with a KV cache; the logits of the last `kept` tokens."""
        if self._stop():
            raise Cancelled("Measuring was stopped.")
        torch = self._torch
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self._model.device)
            out = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=max(1, kept))
        return out.logits[0].float().cpu().numpy(), out.past_key_values


def _quantization(config: Any, model: Any) -> str:
    found = getattr(config, "quantization_config", None)
    if found is None:
        return str(model.dtype).removeprefix("torch.").replace("bfloat16", "BF16").replace("float", "F")
    data = found if isinstance(found, dict) else found.to_dict()
    if data.get("load_in_4bit"):
        return str(data.get("bnb_4bit_quant_type", "4 bit")).upper()
    return "INT8" if data.get("load_in_8bit") else str(data.get("quant_method", ""))


def _parameters(model: Any) -> int:
    """Weights; those of 4 bits lie two in a byte."""
    count = 0
    for each in model.parameters():
        state = getattr(each, "quant_state", None)
        count += int(np.prod(state.shape)) if state is not None else each.numel()
    return count
