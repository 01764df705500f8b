"""Tokenizers of the starter's vocabulary: as it is, and with the control tokens of other families."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from playground.paths import resources
from playground.workers.folder_tokenizer import FolderTokenizer


@pytest.fixture(scope="session")
def starter_tokenizer() -> FolderTokenizer:
    return FolderTokenizer(resources() / "starter")


@pytest.fixture(scope="session")
def llama3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's vocabulary with Llama 3's control tokens and, as there, a beginning-of-text token put in front by the tokenizer."""
    from tokenizers import AddedToken, Tokenizer, processors

    folder = tmp_path_factory.mktemp("llama3")
    tokenizer = Tokenizer.from_file(str(resources() / "starter" / "tokenizer.json"))
    names = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing("<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)]),
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "tokenizer_class": "TokenizersBackend"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
