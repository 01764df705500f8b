"""A worker for models that read and do not write (BERT and its kind): loads a folder for one capture of its attention, in which every token sees all.

Their tokenizers put marks around a text, which are part of what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground.errors import MemoryShortError, ModelFileError, PlaygroundError, SettingError
from playground.protocol import Capture, Progress, PromptToken
from playground.workers import attention, torch_lib
from playground.workers.attention import About
from playground.workers.base import Link
from playground.workers.machine import amount, free_memory
from playground.workers.torch_folder import Folder, check_model_folder, sha256_of_folder


class Encoder:
    """The role. Keeps the last model until another one is asked for."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loaded: tuple[Folder, Any, Any] | None = None
        self._about: About | None = None

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {Capture: self.capture}

    def close(self) -> None:
        self._loaded = None

    def capture(self, command: Capture) -> None:
        from playground.workers.attention_torch import TorchAttention

        path = Path(command.model).absolute()
        if self._loaded is None or self._loaded[0].path != path:
            self._load(path, command.request)
        assert self._loaded is not None
        assert self._about is not None
        folder, net, tokenizer = self._loaded
        if command.messages or command.reply_start:
            raise SettingError(f"{folder.name} has no conversations: it reads texts.", "Give it a text.")
        ids = list(command.prompt_ids) or tokenizer(command.text)["input_ids"]
        if ids and not 0 <= min(ids) <= max(ids) < net.get_input_embeddings().num_embeddings:
            raise SettingError("The text has token numbers that this model does not know.", "It was made with another model.")
        special = set(tokenizer.all_special_ids)
        names = tokenizer.convert_ids_to_tokens(ids)
        tokens = [PromptToken(number, str(name), number in special) for number, name in zip(ids, names, strict=True)]
        attention.capture(
            self._link, command, tokens, _window(net), self._about, TorchAttention(net, folder.name, causal=False)
        )

    def _load(self, path: Path, request: int) -> None:
        self.close()
        self._link.send(Progress(request, 0.0, "weights"))
        folder = check_model_folder(path)
        torch_lib.start()
        import torch
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        needed = folder.bytes_as("f32")
        if needed > free_memory():
            raise MemoryShortError(
                f"The weights of {path.name} need {amount(needed)} of memory; {amount(free_memory())} are free.",
                "Take a smaller model.",
            )
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(path, **safe)
            if config.is_encoder_decoder:
                raise ModelFileError(
                    f"{path.name} has an encoder and a decoder with attention between them, which is not captured here.",
                    "Look into an encoder, or into a model that writes.",
                )
            net = AutoModel.from_pretrained(
                path, use_safetensors=True, dtype=torch.float32, attn_implementation="eager", **safe
            ).eval()
            tokenizer = AutoTokenizer.from_pretrained(path, **safe)
        except PlaygroundError:
            raise
        except Exception as error:  # whatever damaged files make the library raise
            said = " ".join(str(error).split())[:160].rstrip(".")
            raise ModelFileError(
                f"{path.name} cannot be loaded: it is damaged or of a kind not known here ({said}).", "Take another model."
            ) from error
        net.requires_grad_(False)
        self._loaded = folder, net, tokenizer
        self._about = About(folder.name, str(path), sha256_of_folder(folder.files), "transformers", torch_lib.build(), "f32")


def _window(net: Any) -> int:
    """Tokens that a text may have: a learned table of positions ends where it ends, and some leave the places before the padding unused."""
    config = net.config
    most = int(getattr(config, "max_position_embeddings", 0) or 0)
    if not most:
        return 1 << 20
    unused = int(config.pad_token_id or 0) + 1 if "roberta" in config.model_type or config.model_type == "camembert" else 0
    return most - unused


def make(link: Link) -> Encoder:
    return Encoder(link)
