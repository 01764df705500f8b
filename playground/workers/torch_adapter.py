"""A LoRA adapter in PEFT layout put on a loaded model folder: checked against it first, then by PEFT itself.

Its scale is `TorchModel.set_scale`'s business.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playground.errors import ModelFileError, NotFoundError, PlaygroundError
from playground.models.lora import Lora, sha256_of
from playground.workers import torch_lib
from playground.workers.run_script import sparing_bitsandbytes
from playground.workers.torch_model import TorchModel


def put_on(model: TorchModel, path: Path) -> None:
    """ModelFileError or NotFoundError with one sentence if it is none, or not one of this model."""
    if not path.exists():
        raise NotFoundError(f"There is no adapter {path}.", "It may have been moved or deleted; choose it again.")
    if path.is_file():
        raise ModelFileError(
            f"{path.name} is an adapter for llama.cpp, and {model.folder.name} is a model folder, which transformers runs.",
            "Take the adapter's folder in PEFT layout, or a GGUF file of the model.",
        )
    lora = Lora(path)
    _check(model, lora)
    with sparing_bitsandbytes():
        torch_lib.need("peft")
        from peft import PeftModel
        from peft.tuners.lora import LoraLayer

        try:
            PeftModel.from_pretrained(model.net, str(path), is_trainable=False, use_safetensors=True, local_files_only=True)
        except Exception as error:  # whatever a damaged adapter makes the library raise
            said = " ".join(str(error).split())[:160].rstrip(".")
            raise ModelFileError(f"The adapter {path.name} cannot be put on {model.folder.name} ({said}).", _OTHER) from error
    model.net.requires_grad_(False)
    model.net.eval()
    layers = [each for each in model.net.modules() if isinstance(each, LoraLayer)]
    model.put_on(layers, str(path), sha256_of(path))


_OTHER = "Take the model that the adapter was made for."


def _check(model: TorchModel, lora: Lora) -> None:
    modules = dict(model.net.named_modules())
    for pair in lora.pairs:
        module = modules.get(pair.module)
        if module is None:
            raise _foreign(model, lora, f"it changes {pair.module}, which this model does not have")
        shape = _shape(module)
        if shape is not None and shape != pair.shape:
            raise _foreign(model, lora, f"its {pair.module} is for {_by(pair.shape)} weights, and the model's are {_by(shape)}")


def _foreign(model: TorchModel, lora: Lora, why: str) -> PlaygroundError:
    return ModelFileError(f"The adapter {lora.folder.name} does not belong to {model.folder.name}: {why}.", _OTHER)


def _shape(module: Any) -> tuple[int, int] | None:
    """Outputs and inputs of a module whose weights are a matrix; of an embedding, width and tokens."""
    if hasattr(module, "in_features"):
        return int(module.out_features), int(module.in_features)
    if hasattr(module, "num_embeddings"):
        return int(module.embedding_dim), int(module.num_embeddings)
    if hasattr(module, "nf") and hasattr(module, "nx"):  # GPT-2's transposed linear layers
        return int(module.nf), int(module.nx)
    return None


def _by(shape: tuple[int, int]) -> str:
    return f"{shape[0]} × {shape[1]}"
