"""What transformers' own `generate` says of the starter folder: a program of its own, so that no test imports torch.

    python tests/workers/independent_generate.py MODEL FOLDER < prompts.json > replies.json

FOLDER gets an adapter (`adapter`) and the model stored in NF4 (`nf4`).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

TOKENS = 40


def main(model: str, folder: Path) -> None:
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    logging.disable(logging.WARNING)
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompts = [tokenizer(text)["input_ids"] for text in json.load(sys.stdin)]

    def load(**more: object) -> Any:
        return AutoModelForCausalLM.from_pretrained(model, **more).eval()

    def said(net: Any) -> list[list[int]]:
        found = []
        for prompt in prompts:
            ids = torch.tensor([prompt])
            out = net.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS, pad_token_id=0
            )
            reply = out[0, len(prompt) :].tolist()
            found.append(reply[: reply.index(2)] if 2 in reply else reply)
        return found

    four = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    replies = {"prompts": prompts, "f32": said(load(dtype=torch.float32)), "bf16": said(load(dtype=torch.bfloat16))}
    quantized = load(dtype=torch.bfloat16, quantization_config=four, device_map="cpu")
    replies["nf4"] = said(quantized)
    quantized.save_pretrained(folder / "nf4")
    eight = BitsAndBytesConfig(load_in_8bit=True)
    replies["int8"] = said(load(dtype=torch.bfloat16, quantization_config=eight, device_map="cpu"))
    torch.manual_seed(0)
    adapted = get_peft_model(load(dtype=torch.float32), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]))
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, 0, 0.15)
    replies["adapter"] = said(adapted)
    adapted.save_pretrained(folder / "adapter")
    print(json.dumps(replies))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
