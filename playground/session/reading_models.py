"""Which folders hold a model that reads only, or reads one text and then writes another: such as the chat's engine refuses.

And which folder a GGUF file is the model of: layers are read there, since llama.cpp does not give them out.
"""

from __future__ import annotations

import json
from pathlib import Path

from playground.errors import PlaygroundError
from playground.protocol import ModelInfo

_READERS = (
    "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "esm", "eurobert",
    "ibert", "jina_embeddings_v3", "megatron-bert", "mobilebert", "modernbert", "mpnet", "nomic_bert", "roberta", "roberta-prelayernorm",
    "roformer", "squeezebert", "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip


_READ_AND_WRITE = ("t5", "mt5", "umt5", "longt5", "switch_transformers", "t5gemma")
"""kinds whose older files do not say that they have an encoder and a decoder"""


def writes_another(path: Path) -> bool:
    """Whether a folder holds a model that reads one text and writes another (T5, BART)."""
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
        kind, names = config.get("model_type", ""), config.get("architectures") or ()
    except (OSError, ValueError, AttributeError):
        return False
    reads = any(str(each).endswith("EncoderModel") for each in names)
    return (config.get("is_encoder_decoder") is True or kind in _READ_AND_WRITE) and not reads


def is_encoder(path: Path) -> bool:
    """Whether a folder holds a model that reads only (or reads and then writes): such as the chat's engine refuses."""
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
        kind, names = config.get("model_type", ""), config.get("architectures") or ()
    except (OSError, ValueError, AttributeError):
        return False
    if config.get("is_encoder_decoder") is True or kind in _READ_AND_WRITE:
        return True
    return kind in _READERS and not any(str(each).endswith(("ForCausalLM", "LMHeadModel")) for each in names)


def folder_of(file: Path) -> Path | None:
    """The folder that a GGUF file lies in, if that is itself a model: config.json and safetensors beside the file."""
    folder = file.parent
    if not (folder / "config.json").is_file():
        return None
    return folder if next(folder.glob("*.safetensors"), None) is not None else None


def folder_to_read(file: Path, loaded: ModelInfo | None) -> Path:
    """The folder in which the layers of a GGUF file are read. PlaygroundError where there is none, or it is `loaded` with an adapter on."""
    folder = folder_of(file)
    if folder is None:
        raise PlaygroundError(
            f"{file.stem} is a GGUF file, whose layers llama.cpp does not give out one by one.",
            "Load the folder of this model (safetensors).",
        )
    if loaded is not None and loaded.adapter:
        raise PlaygroundError(
            f"{file.stem} has an adapter on, which its folder would be read without.", f"Load {folder} with the adapter."
        )
    return folder
