"""A loaded model folder: its weights in the number format that was asked for, on the device there is, and one forward pass.

Imported once `torch_lib.start` has run. Decodes nothing by itself; `torch_decoder` does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import DynamicCache
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from playground.errors import MemoryShortError, ModelFileError, PlaygroundError, SettingError
from playground.params import ContextSettings
from playground.protocol import MemoryTerm, ModelInfo
from playground.workers import torch_lib
from playground.workers.machine import amount, free_memory, usable_cores
from playground.workers.torch_folder import Folder
from playground.workers.torch_lib import short_memory_said, watched_loading

DEFAULT_CONTEXT = 8192
"""The window where the user leaves it to us and the model was trained for more."""
ONE_THREAD = 64 << 20
"""Bytes of weights below which one thread is taken: waking others costs more than they compute."""
_MARGIN = 256 << 20
"""Bytes that stay free for activations and everything else."""
_DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class TorchModel:
    """The weights and what is known of them. `forward` is the only computation."""

    def __init__(
        self,
        folder: Folder,
        settings: ContextSettings,
        check_tensors: bool = False,
        on_progress: Callable[[float], bool] = lambda fraction: True,
        double: bool = True,
    ) -> None:
        """Loads. `on_progress` gets fractions from 0 to 1 and answers whether to go on. ModelFileError, MemoryShortError, Cancelled."""
        self.folder = folder
        self.device = torch.device("cuda" if torch.cuda.is_available() and settings.gpu_layers != 0 else "cpu")
        self.precision = _precision(folder, settings.precision)
        weights = folder.bytes_as("stored" if folder.quantized else self.precision)
        self._refuse_too_large(weights)
        self._double = double
        """of NF4: whether its scales are quantized as well"""
        self.threads = settings.threads or (1 if weights < ONE_THREAD else usable_cores())
        torch.set_num_threads(self.threads)
        self.net = self._load(on_progress)
        self.net.requires_grad_(False)
        takes = inspect.signature(self.net.forward).parameters
        self._past_name = "cache_params" if "cache_params" in takes else "past_key_values"
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._adapted: list[Any] = []
        self._scale = 1.0
        self.adapter = self.adapter_sha256 = ""
        config = self.net.config
        self.config: Any = config.get_text_config(decoder=True)
        output = self.net.get_output_embeddings()
        self.n_vocab = int(getattr(output, "out_features", 0) or self.config.vocab_size)
        self.layers = _layers(self.net)
        self.sequences = settings.sequences
        self.goes_on = self._past_name == "past_key_values"
        """several tokens can be read behind others; the first Mamba's layers cannot"""
        self.chunk = settings.batch if self.goes_on else 1 << 30
        self.window = self._window(settings)
        if check_tensors:
            self._refuse_damaged()
        self._refuse_other_memories()

    @property
    def has_adapter(self) -> bool:
        return bool(self._adapted)

    def put_on(self, layers: Sequence[Any], path: str, sha256: str) -> None:
        """Takes note of an adapter's layers, which are already in the model."""
        self._adapted, self.adapter, self.adapter_sha256 = list(layers), path, sha256

    def set_scale(self, scale: float) -> None:
        """How much of the adapter is in force from the next forward pass on. Nothing happens without one."""
        if scale != self._scale and self._adapted:
            for each in self._adapted:
                each.set_scale("default", scale)
            self._scale = scale

    def new_cache(self) -> DynamicCache:
        return DynamicCache(config=self.config)

    def forward(self, tokens: Sequence[Sequence[int]], past: DynamicCache) -> NDArray[np.float32]:
        """The logits after the last token of each row [rows, vocabulary]; the tokens [rows, length] come into the cache."""
        with short_memory_said(), torch.no_grad():
            ids = torch.tensor(tokens, dtype=torch.long, device=self.device)
            logits = self.net(input_ids=ids, use_cache=True, **{self._past_name: past}, **self._last_only).logits
            return logits[:, -1].to(dtype=torch.float32, device="cpu", copy=True).numpy()

    def forward_all(self, tokens: Sequence[int], past: DynamicCache) -> NDArray[np.float32]:
        """The logits after each of these tokens of one row [length, vocabulary]; they come into the cache."""
        with short_memory_said(), torch.no_grad():
            ids = torch.tensor([list(tokens)], dtype=torch.long, device=self.device)
            logits = self.net(input_ids=ids, use_cache=True, **{self._past_name: past}).logits
            return logits[0].to(dtype=torch.float32, device="cpu").numpy()

    def end_tokens(self) -> set[int]:
        """Those that the model's own settings say end a text."""
        found: set[int] = set()
        for each in (self.net.generation_config, self.net.config, self.config):
            value = getattr(each, "eos_token_id", None)
            found.update(token for token in (value if isinstance(value, (list, tuple)) else [value]) if token is not None)
        return found

    def info(self, has_template: bool, sha256: str = "") -> ModelInfo:
        config = self.config
        size = int(self.net.get_memory_footprint())
        more = [
            name for name, used in (("bitsandbytes", self.precision in ("nf4", "fp4", "int8")), ("peft", self.adapter)) if used
        ]
        return ModelInfo(
            path=str(self.folder.path),
            name=self.folder.name,
            architecture=self.folder.model_type,
            parameters=int(self.net.num_parameters()),
            size=size,
            quantization=self.precision.upper(),
            layers=int(config.num_hidden_layers),
            heads=int(getattr(config, "num_attention_heads", 0) or 0),
            vocabulary=self.n_vocab,
            trained_context=self._trained(),
            context=self.window,
            has_template=has_template,
            engine="transformers",
            engine_build=torch_lib.build(*more),
            device=self._device_name(),
            memory=(MemoryTerm("CPU" if self.device.type == "cpu" else "CUDA0", "weights", size),),
            sha256=sha256,
            adapter=self.adapter,
            adapter_sha256=self.adapter_sha256,
        )

    # -- loading

    def _load(self, on_progress: Callable[[float], bool]) -> Any:
        folder = self.folder
        name = folder.path.name
        if folder.model_type not in CONFIG_MAPPING_NAMES:
            if folder.config.get("auto_map"):
                raise ModelFileError(
                    f"{name} needs Python code of its own to run, which this program never does.",
                    "Take a GGUF file of this model.",
                )
            raise ModelFileError(
                f"{name} is a model of the kind '{folder.model_type}', which transformers {transformers.__version__} does not know.",
                "Get a newer version of the program, or a GGUF file of this model.",
            )
        try:
            config = AutoConfig.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
            if config.is_encoder_decoder or type(config) not in AutoModelForCausalLM._model_mapping:
                raise ModelFileError(f"{name} is no model for writing text ({folder.model_type}).", "Choose another one.")
            with watched_loading(on_progress):
                net, report = self._from_pretrained("sdpa")
        except (PlaygroundError, MemoryError):
            raise
        except torch.OutOfMemoryError:
            raise MemoryShortError(
                f"There is not enough memory on the graphics device for {name}.", "Take int8 or nf4, or a smaller model."
            ) from None
        except Exception as error:  # whatever damaged files make the library raise
            raise _explained(name, error) from error
        if missing := sorted(report["missing_keys"]):
            raise ModelFileError(
                f"{name} lacks {len(missing)} of the model's weights, {missing[0]} among them.", "Download it again."
            )
        if wrong := sorted(report["mismatched_keys"]):
            raise ModelFileError(
                f"{name} does not fit its config.json: {wrong[0][0]} has another shape.", "Download it again, both files."
            )
        net.eval()
        return net

    def _from_pretrained(self, attention: str) -> tuple[Any, dict[str, Any]]:
        more: dict[str, Any] = {}
        dtype = _DTYPES[self.folder.stored]
        if self.folder.quantized or self.precision in ("nf4", "int8"):
            torch_lib.need("bitsandbytes")
        if not self.folder.quantized and self.precision in ("nf4", "int8"):
            more["quantization_config"] = quantization(self.precision, dtype, self._double)
        elif not self.folder.quantized:
            dtype = _DTYPES[self.precision]
        try:
            return AutoModelForCausalLM.from_pretrained(
                self.folder.path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=dtype,
                attn_implementation=attention,
                device_map={"": self.device},
                output_loading_info=True,
                ignore_mismatched_sizes=False,
                **more,
            )
        except ValueError as error:
            if attention == "sdpa" and "scaled_dot_product_attention" in str(error):
                return self._from_pretrained("eager")
            raise

    def _refuse_too_large(self, weights: int) -> None:
        if self.device.type == "cpu":
            free = free_memory()
        else:
            free = int(torch.cuda.mem_get_info(self.device)[0])
        if weights + _MARGIN > free:
            raise MemoryShortError(
                f"The weights of {self.folder.path.name} need {amount(weights)} of memory as {self.precision}; {amount(free)} are free.",
                "Load it as nf4 or int8, take a smaller model, or close other programs.",
            )

    def _refuse_damaged(self) -> None:
        for name, each in self.net.named_parameters():
            if each.is_floating_point() and not bool(torch.isfinite(each).all()):
                raise ModelFileError(
                    f"The weights in {self.folder.path.name} are damaged: {name} has values that are no numbers.",
                    "Download it again.",
                )

    def _refuse_other_memories(self) -> None:
        """Computes one token: it must work, and leave something in the cache that everything here counts on."""
        past = self.new_cache()
        empty = [_is_filled(each) for each in past.layers]
        try:
            self.forward([[0]], past)
        except Exception as error:  # whatever a configuration that is wrong in itself makes the library raise
            raise _explained(self.folder.path.name, error) from error
        if [_is_filled(each) for each in past.layers] == empty:
            raise ModelFileError(
                f"{self.folder.path.name} is a model of the kind '{self.folder.model_type}', which this engine cannot steer token by token.",
                "Take a GGUF file of this model.",
            )

    # -- the context window

    def _trained(self) -> int:
        for name in ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length"):
            if value := getattr(self.config, name, None):
                return int(value)
        return DEFAULT_CONTEXT

    def _window(self, settings: ContextSettings) -> int:
        """In tokens. MemoryShortError for one whose cache cannot fit; a learned table of positions ends where it ends."""
        each = self._kv_bytes_per_token()
        free = free_memory() if self.device.type == "cpu" else int(torch.cuda.mem_get_info(self.device)[0])
        room = max(0, free - _MARGIN)
        wanted = settings.context or min(self._trained(), DEFAULT_CONTEXT)
        if not getattr(self.config, "rope_parameters", None) and self._has_position_table():
            wanted = min(wanted, self._trained())
        if settings.context == 0:
            return max(min(512, wanted), min(wanted, room // max(1, each) // 256 * 256))
        if wanted * each > room:
            fits = room // max(1, each) // 256 * 256
            raise MemoryShortError(
                f"A context window of {wanted:,} tokens needs {amount(wanted * each)} of memory; {amount(room)} are free.",
                f"Take at most {fits:,} tokens, or close other programs." if fits >= 512 else "Take a smaller model.",
            )
        return wanted

    def _has_position_table(self) -> bool:
        return any(
            re.search(r"(wpe|embed_positions|position_embeddings?)\.weight$", name) for name, _ in self.net.named_parameters()
        )

    def _kv_bytes_per_token(self) -> int:
        config = self.config
        heads = int(getattr(config, "num_attention_heads", 0) or 0)
        groups = int(getattr(config, "num_key_value_heads", 0) or heads)
        width = int(getattr(config, "head_dim", 0) or (config.hidden_size // heads if heads else 0))
        return 2 * int(config.num_hidden_layers) * groups * width * (4 if self.net.dtype == torch.float32 else 2)

    def _device_name(self) -> str:
        return "CPU" if self.device.type == "cpu" else f"CUDA0 ({torch.cuda.get_device_name(self.device)})"


def quantization(method: str, compute: torch.dtype, double: bool = True) -> Any:
    """The settings of bitsandbytes for `nf4` (with the scales quantized as well) or `int8`."""
    from transformers import BitsAndBytesConfig

    if method == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=compute
    )


def _precision(folder: Folder, asked: str) -> str:
    if folder.quantized:
        if asked not in ("auto", folder.quantized):
            raise SettingError(
                f"{folder.path.name} is stored as {folder.quantized} and cannot be loaded as {asked}.",
                "Set precision to auto, or take the original model.",
            )
        return folder.quantized
    return folder.stored if asked == "auto" else asked


def _is_filled(layer: Any) -> bool:
    states = getattr(layer, "has_previous_state", None)
    return bool(getattr(layer, "is_initialized", False)) or (isinstance(states, dict) and any(states.values()))


def _layers(net: Any) -> list[Any]:
    """The model's blocks, in order: its longest list of modules."""
    lists = [each for each in net.modules() if isinstance(each, torch.nn.ModuleList)]
    return list(max(lists, key=len, default=[]))


def _explained(name: str, error: Exception) -> PlaygroundError:
    said = " ".join(str(error).split())[:160].rstrip(".")
    if "No module named" in said or isinstance(error, ImportError):
        return ModelFileError(f"{name} needs a library that is not installed ({said}).", "Take a GGUF file of this model.")
    return ModelFileError(f"{name} cannot be loaded: it is damaged or incomplete ({said}).", "Download it again.")
