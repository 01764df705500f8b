"""The tokenizer: byte-level byte-pair encoding with 2,048 tokens, trained on our own text."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from conversation import conversation
from model import CONTEXT, VOCABULARY
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Iterable

END_OF_TEXT, START, END = SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
START_ID, END_ID = 1, 2


def render(messages: Iterable[dict[str, Any]]) -> str:
    """Write a conversation as the chat template does."""
    parts = (f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages)
    return END_OF_TEXT + "".join(parts)


def train_tokenizer(conversations: int = 12_000) -> PreTrainedTokenizerFast:
    """Learn the tokens from conversations.

    Text is cut into single digits and then by GPT-2's pattern. llama.cpp knows this pair of rules
    as "smollm", so both sides cut every text alike.
    """
    rng = random.Random(0)
    texts = (render(conversation(rng)) for _ in range(conversations))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=2,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A",
        pair=f"{END_OF_TEXT} $A $B",
        special_tokens=[(END_OF_TEXT, 0)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END,
        pad_token=END_OF_TEXT,
        unk_token=None,
        additional_special_tokens=[START],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
