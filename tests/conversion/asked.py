"""llama.cpp's answers, from a process of their own: `python -m tests.conversion.asked JOBS.json`.

JOBS is a list of `{"model": path, "tokens": [...], "out": path.npy}` for logits (with `"adapter"` and
`"scale"` for a LoRA), or `{"model": path, "texts": [...], "out": path.json}` for
token ids; a model that does not load leaves no answer.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from playground.workers.llama_lib import C, start


def _load(path: str, vocabulary_only: bool) -> Any:
    settings = C.llama_model_default_params()
    settings.n_gpu_layers = 0
    settings.use_extra_bufts = False
    settings.vocab_only = vocabulary_only
    return C.llama_model_load_from_file(path.encode(), settings)


def logits(model: Any, tokens: list[int], adapter: str = "", scale: float = 1.0) -> np.ndarray:
    """[tokens, vocabulary] in one batch, with nothing that rounds; with a LoRA file on if one is named."""
    settings = C.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 512
    settings.n_threads = settings.n_threads_batch = 1
    settings.flash_attn_type = 0
    settings.type_k = settings.type_v = 0  # f32
    context = C.llama_init_from_model(model, settings)
    if adapter:
        loaded = (C.llama_adapter_lora_p_ctypes * 1)(C.llama_adapter_lora_init(model, adapter.encode()))
        C.llama_set_adapters_lora(context, loaded, 1, (ctypes.c_float * 1)(scale))
    batch = C.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for place, token in enumerate(tokens):
        batch.token[place], batch.pos[place], batch.n_seq_id[place], batch.seq_id[place][0], batch.logits[place] = (
            token,
            place,
            1,
            0,
            1,
        )
    if C.llama_decode(context, batch):
        raise RuntimeError("llama_decode failed")
    width = C.llama_vocab_n_tokens(C.llama_model_get_vocab(model))
    found = np.ctypeslib.as_array(C.llama_get_logits(context), shape=(len(tokens), width)).copy()
    C.llama_batch_free(batch)
    C.llama_free(context)
    return found


def token_ids(model: Any, text: str, special: bool) -> list[int]:
    vocabulary, data = C.llama_model_get_vocab(model), text.encode("utf-8")
    room = len(data) + 8
    found = (ctypes.c_int32 * room)()
    count = C.llama_tokenize(vocabulary, data, len(data), found, room, special, True)
    return list(found[:count])


def main() -> None:
    start()
    for job in json.loads(Path(sys.argv[1]).read_text()):
        model = _load(job["model"], "texts" in job)
        if not model:
            continue
        if "texts" in job:
            Path(job["out"]).write_text(json.dumps({"special": [token_ids(model, text, True) for text in job["texts"]]}))
        else:
            np.save(job["out"], logits(model, job["tokens"], job.get("adapter", ""), job.get("scale", 1.0)))
        C.llama_model_free(model)


if __name__ == "__main__":
    main()
