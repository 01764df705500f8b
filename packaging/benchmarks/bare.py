"""The loop that everybody would write on bare llama-cpp-python: load, prefill, sample with the native chain, decode. Nothing else.

It is the yardstick, so it reports nothing, stores nothing and listens to nobody.
"""

from __future__ import annotations

import ctypes
import os
import time

import llama_cpp.llama_cpp as llama


class Bare:
    """A model loaded as the program loads it: same context, threads, batch sizes."""

    def __init__(self, path: str, context: int, threads: int) -> None:
        llama.llama_backend_init()
        self._quiet = llama.llama_log_callback(lambda level, text, data: None)
        llama.llama_log_set(self._quiet, ctypes.c_void_p(0))
        wanted = llama.llama_model_default_params()
        self.model = llama.llama_model_load_from_file(path.encode(), wanted)
        settings = llama.llama_context_default_params()
        settings.n_ctx = context
        settings.n_batch, settings.n_ubatch = 2048, 512
        settings.n_seq_max = 8
        settings.kv_unified = True
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama.llama_init_from_model(self.model, settings)
        self.memory = llama.llama_get_memory(self.context)
        self.vocabulary = llama.llama_model_get_vocab(self.model)

    def chain(self, seed: int, temperature: float, top_k: int, top_p: float, min_p: float) -> llama.llama_sampler_p:
        """The default chain in the program's order."""
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for link in (
            llama.llama_sampler_init_top_k(top_k),
            llama.llama_sampler_init_top_p(top_p, 1),
            llama.llama_sampler_init_min_p(min_p, 1),
            llama.llama_sampler_init_temp(temperature),
            llama.llama_sampler_init_dist(seed),
        ):
            llama.llama_sampler_chain_add(chain, link)
        return chain

    def decode_rate(self, prompt: list[int], count: int, seed: int = 1) -> float:
        """Tokens a second over `count` tokens after the first, end-of-generation tokens included like any other."""
        llama.llama_memory_clear(self.memory, True)
        ids = (llama.llama_token * len(prompt))(*prompt)
        llama.llama_decode(self.context, llama.llama_batch_get_one(ids, len(prompt)))
        chain = self.chain(seed, 0.8, 40, 0.95, 0.05)
        piece = ctypes.create_string_buffer(64)
        one = (llama.llama_token * 1)()
        out = []
        one[0] = llama.llama_sampler_sample(chain, self.context, -1)
        begun = time.perf_counter()
        for _ in range(count):
            llama.llama_decode(self.context, llama.llama_batch_get_one(one, 1))
            one[0] = llama.llama_sampler_sample(chain, self.context, -1)
            length = llama.llama_token_to_piece(self.vocabulary, one[0], piece, 64, 0, False)
            out.append(piece.raw[:length])
        spent = time.perf_counter() - begun
        llama.llama_sampler_free(chain)
        return count / spent

    def batched_rate(self, prompt: list[int], count: int, sequences: int) -> float:
        """Tokens a second of several sequences after one prefill, `count` each after the first, in one decode call a step."""
        llama.llama_memory_clear(self.memory, True)
        ids = (llama.llama_token * len(prompt))(*prompt)
        llama.llama_decode(self.context, llama.llama_batch_get_one(ids, len(prompt)))
        for number in range(1, sequences):
            llama.llama_memory_seq_cp(self.memory, 0, number, -1, -1)
        chains = [self.chain(number, (0.4, 0.8, 1.0, 1.2)[number % 4], 40, 0.95, 0.05) for number in range(sequences)]
        piece = ctypes.create_string_buffer(64)
        batch = llama.llama_batch_init(sequences, 0, 1)
        out: list[list[bytes]] = [[] for _ in range(sequences)]
        tokens = [llama.llama_sampler_sample(chain, self.context, -1) for chain in chains]
        batch.n_tokens = sequences
        begun = time.perf_counter()
        for step in range(count):
            for number in range(sequences):
                batch.token[number] = tokens[number]
                batch.pos[number] = len(prompt) + step
                batch.n_seq_id[number] = 1
                batch.seq_id[number][0] = number
                batch.logits[number] = True
            llama.llama_decode(self.context, batch)
            for number, chain in enumerate(chains):
                tokens[number] = llama.llama_sampler_sample(chain, self.context, number)
                length = llama.llama_token_to_piece(self.vocabulary, tokens[number], piece, 64, 0, False)
                out[number].append(piece.raw[:length])
        spent = time.perf_counter() - begun
        llama.llama_batch_free(batch)
        for chain in chains:
            llama.llama_sampler_free(chain)
        return sequences * count / spent


def threads() -> int:
    """As the engine chooses by itself."""
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1
