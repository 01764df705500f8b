"""The figures of a quality report calculated another way: llama.cpp by its bare functions, whole windows at once, float64 and no shared code.

python tests/workers/independent_quality.py TEXT CONTEXT CHUNKS SPECIAL ORIGINAL MODEL...     prints JSON, one object a model
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import sys
from pathlib import Path

os.environ["GGML_NO_BACKTRACE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

import llama_cpp.llama_cpp as lib
import numpy as np


def log_probabilities(path: str, text: bytes, context: int, chunks: int, special: bool) -> tuple[np.ndarray, np.ndarray]:
    """(log-probabilities [positions, vocabulary], the tokens that came), by llama.cpp's rules for perplexity."""
    params = lib.llama_model_default_params()
    params.use_extra_bufts = (
        b"AMX_INT8 = 1" not in lib.llama_print_system_info()
    )  # its kernels crash, see findings.md; others round otherwise
    model = lib.llama_model_load_from_file(path.encode(), params)
    vocab = lib.llama_model_get_vocab(model)
    room = len(text) + 8
    found = (lib.llama_token * room)()
    count = lib.llama_tokenize(vocab, text, len(text), found, room, True, special)
    tokens = list(found[:count])
    settings = lib.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = settings.n_outputs_max = context
    ctx = lib.llama_init_from_model(model, settings)
    size = lib.llama_vocab_n_tokens(vocab)
    add_bos, bos = lib.llama_vocab_get_add_bos(vocab), lib.llama_vocab_bos(vocab)
    rows, came = [], []
    for number in range(min(chunks or count, count // context)):
        window = tokens[number * context : (number + 1) * context]
        if add_bos:
            window[0] = bos
        lib.llama_memory_clear(lib.llama_get_memory(ctx), True)
        batch = lib.llama_batch_init(context, 0, 1)
        batch.n_tokens = context
        for place, token in enumerate(window):
            batch.token[place], batch.pos[place], batch.n_seq_id[place], batch.logits[place] = token, place, 1, 1
            batch.seq_id[place][0] = 0
        if lib.llama_decode(ctx, batch) != 0:
            raise SystemExit("llama_decode failed")
        for place in range(context // 2, context - 1):
            pointer = lib.llama_get_logits_ith(ctx, place)
            logits = np.array(np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (size,)), np.float64)
            rows.append(logits - np.logaddexp.reduce(logits))
            came.append(window[place + 1])
        lib.llama_batch_free(batch)
    lib.llama_free(ctx)
    lib.llama_model_free(model)
    return np.array(rows), np.array(came)


def main() -> None:
    text, context, chunks, special, original, *models = sys.argv[1:]
    how = (Path(text).read_bytes(), int(context), int(chunks), special == "1")
    p, came = log_probabilities(original, *how)
    n = len(came)
    for path in (original, *models):
        q, _ = log_probabilities(path, *how)
        nll = [-q[row][token] for row, token in enumerate(came)]
        kl = [math.fsum(np.exp(p[row]) * (p[row] - q[row])) for row in range(n)]
        mean, mean_kl = math.fsum(nll) / n, math.fsum(kl) / n
        ordered = sorted(kl)
        place = 0.99 * (n - 1)
        low = math.floor(place)
        high = min(low + 1, n - 1)
        print(
            json.dumps(
                {
                    "perplexity": math.exp(mean),
                    "perplexity_error": math.exp(mean) * math.sqrt(math.fsum((x - mean) ** 2 for x in nll) / n / (n - 1)),
                    "kl_divergence": mean_kl,
                    "kl_error": math.sqrt(math.fsum((x - mean_kl) ** 2 for x in kl) / n / (n - 1)),
                    "kl_p99": ordered[low] + (place - low) * (ordered[high] - ordered[low]),
                    "top1_agreement": sum(int(p[row].argmax() == q[row].argmax()) for row in range(n)) / n,
                    "tokens": n,
                }
            )
        )


if __name__ == "__main__":
    main()
