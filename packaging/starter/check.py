"""Check that the GGUF and the Hugging Face folder are the same model.

    python packaging/starter/check.py [FOLDER]

Three comparisons: token ids over thousands of awkward strings, the chat template rendered by plain
sandboxed Jinja2 against transformers, and the next-token logits over whole conversations.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import llama_cpp
import numpy as np
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "starter"
STRINGS = 4000
CHATS = 40

Chats = list[list[dict[str, str]]]

PIECES = [
    *[
        "red",
        " green",
        "don't",
        "I'll",
        "WE'VE",
        "he's",
        "'s",
        " '",
        "hello",
        "Zora",
        "naïve",
        "über",
    ],
    *["0", "7", "42", "1999", "3.14", "1,000", "²", "½", "٣", "Ⅷ", "x2", "2x"],
    *[" ", "  ", "   ", "\t", "\n", "\n\n", " \n ", "\r\n", "\u00a0", "\u3000", "\u200b"],
    *[
        ".",
        "...",
        "?!",
        "--",
        "—",
        "(",
        ")",
        "{{",
        "}}",
        "#",
        "@",
        "/",
        "\\",
        "_",
        "__",
        "<|",
        "|>",
    ],
    *["é", "e\u0301", "ß", "日本語", "привет", "שלום", "नमस्ते", "😀", "👩‍🚀", "🇫🇷", "\x00", "\x7f"],
    *["<|im_start|>", "<|im_end|>", "<|endoftext|>", "assistant", "user", "Repeat: ", "Reverse:"],
]


def awkward_strings(count: int) -> list[str]:
    """Make strings of pieces that tokenizers disagree about, and some of random characters."""
    rng = random.Random(7)
    strings = list(PIECES)
    while len(strings) < count:
        if rng.random() < 0.8:
            strings.append("".join(rng.choices(PIECES, k=rng.randint(2, 9))))
        else:
            ceiling = rng.choice([0x7F, 0x2FF, 0xD7FF])
            codes = [rng.randint(1, ceiling) for _ in range(rng.randint(1, 12))]
            strings.append("".join(map(chr, codes)))
    return strings


def sample_chats(count: int) -> Chats:
    """Take held-out conversations without their last answer."""
    from conversation import conversation

    rng = random.Random(11)
    chats = [conversation(rng, "held")[:-1] for _ in range(count)]
    return [[{"role": m["role"], "content": m["content"]} for m in chat] for chat in chats]


def compare_tokens(tokenizer: PreTrainedTokenizerFast, llama: llama_cpp.Llama) -> int:
    """Return how many awkward strings the two tokenizers cut differently; print a few."""
    different = 0
    for text in awkward_strings(STRINGS):
        ours = tokenizer.encode(text, add_special_tokens=False)
        theirs = llama.tokenize(text.encode(), add_bos=False, special=True)
        if ours != theirs:
            different += 1
            if different <= 5:
                print("  differs:", repr(text), ours, theirs)
        elif llama.detokenize(theirs, special=True) != text.encode():
            different += 1
            print("  does not come back:", repr(text))
    return different


def compare_templates(tokenizer: PreTrainedTokenizerFast, llama: llama_cpp.Llama, chats: Chats) -> int:
    """Return how many conversations the two chat templates render differently."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(llama.metadata["tokenizer.chat_template"])
    different = 0
    for chat in chats:
        ours = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        plain = template.render(
            messages=chat,
            bos_token="<|endoftext|>",
            eos_token="<|im_end|>",
            add_generation_prompt=True,
        )
        different += ours != plain
    return different


def compare_logits(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, llama: llama_cpp.Llama, chats: Chats
) -> tuple[float, float]:
    """Return the share of positions with the same best token, and the largest difference."""
    same = total = 0
    largest = 0.0
    for chat in chats:
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.encode(text, add_special_tokens=False)[: llama.n_ctx()]
        llama.reset()
        llama.eval(ids)
        theirs = np.array(llama.scores[: len(ids)])
        with torch.no_grad():
            ours = model(torch.tensor([ids])).logits[0].numpy()
        same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        total += len(ids)
        largest = max(largest, float(np.abs(ours - theirs).max()))
    return same / total, largest


def main() -> None:
    """Compare the two forms of the model in one folder; exit 1 if they are not the same."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    context = model.config.max_position_embeddings
    llama = llama_cpp.Llama(str(folder / "starter.gguf"), n_ctx=context, logits_all=True, verbose=False)
    chats = sample_chats(CHATS)

    tokens = compare_tokens(tokenizer, llama)
    print(f"token ids: {tokens} of {STRINGS} strings differ")
    templates = compare_templates(tokenizer, llama, chats)
    print(f"chat template: {templates} of {len(chats)} conversations differ")
    agree, largest = compare_logits(model, tokenizer, llama, chats)
    print(f"logits: best token the same at {agree:.2%} of positions, largest gap {largest:.3f}")
    if tokens or templates or agree < 0.99:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
