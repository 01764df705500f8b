"""What transformers' own beam search says of a model folder: a program of its own, so that no test imports torch.

    python tests/workers/independent_beam.py FOLDER < searches.json > found.json

A search is `{"prompt": TEXT, "options": {of generate}}`; what was found is `{"prompt": ids, "beams": [[ids, score], ...]}`, best first.
"""

from __future__ import annotations

import json
import logging
import os
import sys


def main(folder: str) -> None:
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    logging.disable(logging.WARNING)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for search in json.load(sys.stdin):
        prompt = tokenizer(search["prompt"])["input_ids"]
        width = search["options"]["num_beams"]
        ids = torch.tensor([prompt])
        out = net.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            num_return_sequences=width,
            return_dict_in_generate=True,
            output_scores=True,
            pad_token_id=0,
            **search["options"],
        )
        scores = out.sequences_scores.tolist() if width > 1 else [0.0]
        beams = []
        for sequence, score in zip(out.sequences[:, len(prompt) :].tolist(), scores, strict=True):
            ends = sequence.index(2) + 1 if 2 in sequence else len(sequence)
            beams.append([sequence[:ends], score])
        found.append({"prompt": prompt, "beams": beams})
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
