"""Write the texts that the starter's quantizations are measured on and calibrated with: what the starter itself says at temperature 1.

    python packaging/starter/own_text.py     writes evaluation.txt and calibration.txt in resources/starter

Each is drawn from seeds of its own.

Why its own words: on text drawn from a model, the logarithm of the perplexity rises, in expectation, by exactly the KL divergence of
whatever takes the model's place. On the recipe's text it does not have to: the starter is no perfect fit to it, and a little noise
in the weights can bring it nearer (Q5_K_M had a lower perplexity than the original there, by 1.5 standard errors on 51,000 positions).

Every document begins with the end-of-text token and has 512 tokens, so that the report's windows are whole documents. Those that the
tokenizer would cut otherwise than they were drawn are left out of the text to measure on, where positions have to be the model's own.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import llama_cpp.llama_cpp as lib
import numpy as np

STARTER = Path(__file__).parents[2] / "resources" / "starter"
AT_ONCE, LENGTH = 64, 512
END_OF_TEXT = 0
SEEDS = {"evaluation.txt": range(1, 6), "calibration.txt": range(101, 102)}


def load() -> tuple[object, object, object]:
    """Return the model, its vocabulary and a context for many sequences."""
    model = lib.llama_model_load_from_file(os.fsencode(STARTER / "starter.gguf"), lib.llama_model_default_params())
    settings = lib.llama_context_default_params()
    settings.n_ctx, settings.n_seq_max = AT_ONCE * LENGTH, AT_ONCE
    settings.n_batch = settings.n_ubatch = settings.n_outputs_max = AT_ONCE
    settings.kv_unified = False
    return model, lib.llama_model_get_vocab(model), lib.llama_init_from_model(model, settings)


def draw(context: object, vocabulary: int, seed: int) -> np.ndarray:
    """Return token ids (AT_ONCE, LENGTH), drawn from the model's whole distribution."""
    rng = np.random.default_rng(seed)
    lib.llama_memory_clear(lib.llama_get_memory(context), True)
    ids = np.full((AT_ONCE, LENGTH), END_OF_TEXT)
    batch = lib.llama_batch_init(AT_ONCE, 0, 1)
    batch.n_tokens = AT_ONCE
    for step in range(LENGTH - 1):
        for row in range(AT_ONCE):
            batch.token[row], batch.pos[row], batch.n_seq_id[row], batch.logits[row] = int(ids[row, step]), step, 1, 1
            batch.seq_id[row][0] = row
        if lib.llama_decode(context, batch) != 0:
            raise SystemExit("the model could not be run")
        for row in range(AT_ONCE):
            pointer = ctypes.cast(lib.llama_get_logits_ith(context, row), ctypes.POINTER(ctypes.c_float))
            logits = np.ctypeslib.as_array(pointer, (vocabulary,)).astype(np.float64)
            chances = np.exp(logits - logits.max()).cumsum()
            ids[row, step + 1] = min(vocabulary - 1, int(np.searchsorted(chances, rng.random() * chances[-1], "right")))
    lib.llama_batch_free(batch)
    return ids


def spell(vocab: object, ids: list[int]) -> bytes:
    """Return the text of tokens, control tokens by name."""
    buffer, pieces = ctypes.create_string_buffer(256), []
    for token in ids:
        length = lib.llama_token_to_piece(vocab, token, buffer, 256, 0, True)
        pieces.append(buffer.raw[:length])
    return b"".join(pieces)


def cut(vocab: object, text: bytes) -> list[int]:
    """Return the tokens of a text, control tokens recognised."""
    found = (lib.llama_token * (len(text) + 8))()
    return list(found[: lib.llama_tokenize(vocab, text, len(text), found, len(text) + 8, False, True)])


def main() -> None:
    """Draw, sort out, write."""
    _, vocab, context = load()
    for name, seeds in SEEDS.items():
        documents: list[bytes] = []
        for seed in seeds:
            for ids in draw(context, lib.llama_vocab_n_tokens(vocab), seed).tolist():
                text = spell(vocab, ids)
                same = cut(vocab, text) == ids or name == "calibration.txt"
                if same and text.decode("utf-8", "replace").encode() == text:
                    documents.append(text)
            print(f"{name}: {len(documents)} documents")
        # The tokenizer puts the first end-of-text token there itself.
        (STARTER / name).write_bytes(b"".join(documents).removeprefix(b"<|endoftext|>"))


if __name__ == "__main__":
    main()
