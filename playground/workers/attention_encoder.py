"""A worker for models that read (BERT and its kind), and that read one text and write another (T5, BART): loads a folder to capture its attention.

Their tokenizers put marks around a text, which are part of what is looked at. A reader may be given two texts, as it was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground.errors import ContextFullError, MemoryShortError, ModelFileError, PlaygroundError, SettingError
from playground.inside.layout import PARTS, SUFFIX
from playground.protocol import Capture, Progress, PromptToken
from playground.workers import attention, torch_lib
from playground.workers.attention import About
from playground.workers.base import Link
from playground.workers.machine import amount, free_memory
from playground.workers.torch_folder import Folder, check_model_folder, sha256_of_folder
from playground.workers.torch_vocabulary import spelling, token_bytes


class Encoder:
    """The role. Keeps the last model until another one is asked for."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loaded: tuple[Folder, Any, Any] | None = None
        self._about: About | None = None
        self._writes = False
        """whether the loaded model has what it needs to write its own target"""

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {Capture: self.capture}

    def close(self) -> None:
        self._loaded = None

    def capture(self, command: Capture) -> None:
        path = Path(command.model).absolute()
        if self._loaded is None or self._loaded[0].path != path:
            self._load(path, command.request)
        assert self._loaded is not None
        assert self._about is not None
        folder, net, tokenizer = self._loaded
        if command.messages or command.reply_start:
            raise SettingError(f"{folder.name} has no conversations: it reads texts.", "Give it a text.")
        if unknown := set(command.parts) - set(PARTS):
            raise SettingError(f"There is no part '{min(unknown)}'.", f"There are {', '.join(PARTS)}.")
        if net.config.is_encoder_decoder:
            self._capture_pair(command, folder, net, tokenizer)
            return
        if set(command.parts) - {"encoder"}:
            raise SettingError(f"{folder.name} has no decoder: it only reads.", "Leave the part out.")
        from playground.workers.attention_torch import TorchAttention

        cut = tokenizer(command.text, command.target_text or None)
        ids = list(command.prompt_ids) or cut["input_ids"]
        tokens = self._tokens(folder, net, tokenizer, ids)
        inputs = {}
        if command.target_text and not command.prompt_ids and "token_type_ids" in cut:
            import torch

            inputs["token_type_ids"] = torch.tensor([cut["token_type_ids"]])  # 1 for the second text
        source = TorchAttention(net, folder.name, causal=False, inputs=inputs)
        attention.capture(self._link, command, tokens, _window(net), self._about, source)

    def _capture_pair(self, command: Capture, folder: Folder, net: Any, tokenizer: Any) -> None:
        """The encoder's, the decoder's and the cross attention, or some of them, a file each."""
        from playground.workers.attention_pair import PairAttention, target_ids, written_ids

        assert self._about is not None
        ids = list(command.prompt_ids) or tokenizer(command.text)["input_ids"]
        window = _window(net)
        if len(ids) > window:
            raise ContextFullError(f"The text has {len(ids):,} tokens; this model reads {window:,}.", "Shorten it.")
        source = self._tokens(folder, net, tokenizer, ids)
        if not source:
            raise SettingError("There is no text to look into.", "Give a text of at least one token.")
        parts = [each for each in PARTS if each in command.parts] or list(PARTS)
        target: list[PromptToken] = []
        if set(parts) - {"encoder"}:
            if command.target_text:
                read = target_ids(net, folder.name, tokenizer(text_target=command.target_text)["input_ids"])
            elif self._writes:
                read = written_ids(net, ids, lambda: self._link.pending and self._link.cancelled(command.request))
            else:
                raise ModelFileError(
                    f"{folder.name} lacks the layer that it would write with.", "Give the text that it should have written."
                )
            target = self._tokens(folder, net, tokenizer, read)
        path, jobs = Path(command.target), []
        for part in parts:
            named = path.with_name(f"{path.name.removesuffix(SUFFIX)}-{part}{SUFFIX}")
            tokens = source if part == "encoder" else target
            pair = PairAttention(net, folder.name, part, source)
            jobs.append(attention.prepare(command, named, tokens, window, self._about, pair))
        attention.write(self._link, command, jobs)

    def _tokens(self, folder: Folder, net: Any, tokenizer: Any, ids: list[int]) -> list[PromptToken]:
        if ids and not 0 <= min(ids) <= max(ids) < net.get_input_embeddings().num_embeddings:
            raise SettingError("The text has token numbers that this model does not know.", "It was made with another model.")
        special = set(tokenizer.all_special_ids)
        names = [str(each or "") for each in tokenizer.convert_ids_to_tokens(ids)]  # none beyond the vocabulary
        backend = getattr(tokenizer, "backend_tokenizer", None)
        kind = spelling(backend.to_str()) if backend is not None else "metaspace"
        if kind != "words":  # WordPiece's marks say how a word goes on
            names = [
                name if number in special else token_bytes(name, kind).decode("utf-8", "replace")
                for number, name in zip(ids, names, strict=True)
            ]
        return [PromptToken(number, name, number in special) for number, name in zip(ids, names, strict=True)]

    def _load(self, path: Path, request: int) -> None:
        self.close()
        self._link.send(Progress(request, 0.0, "weights"))
        folder = check_model_folder(path)
        torch_lib.start()
        import torch
        from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoModelForTextEncoding, AutoTokenizer

        needed = folder.bytes_as("f32")
        if needed > free_memory():
            raise MemoryShortError(
                f"The weights of {path.name} need {amount(needed)} of memory; {amount(free_memory())} are free.",
                "Take a smaller model.",
            )
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(path, **safe)
            reads_only = any(str(each).endswith("EncoderModel") for each in config.architectures or ())
            auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModel
            if type(config) in AutoModelForTextEncoding._model_mapping and reads_only:
                auto = AutoModelForTextEncoding
            net, report = auto.from_pretrained(
                path, use_safetensors=True, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, **safe
            )
            tokenizer = AutoTokenizer.from_pretrained(path, **safe)
        except PlaygroundError:
            raise
        except Exception as error:  # whatever damaged files make the library raise
            said = " ".join(str(error).split())[:160].rstrip(".")
            raise ModelFileError(
                f"{path.name} cannot be loaded: it is damaged or of a kind not known here ({said}).", "Take another model."
            ) from error
        missing = sorted(each for each in report["missing_keys"] if "pooler" not in each)
        last = [each for each in missing if each.rpartition(".")[0].endswith("lm_head") or each == "final_logits_bias"]
        if len(last) < len(missing):
            raise ModelFileError(
                f"{path.name} lacks {len(missing)} of the model's weights, {missing[0]} among them.", "Download it again."
            )
        self._writes = "lm_head.weight" not in missing
        net.eval().requires_grad_(False)
        if reads_only:
            net.config.is_encoder_decoder = False
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
