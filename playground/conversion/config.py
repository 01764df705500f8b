"""What a model folder's config.json says, whatever generation of it and whatever it calls things.

Knows the spellings of the keys; what llama.cpp makes of the numbers is `hyperparameters`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ModelFileError, NotFoundError

_MAX_JSON = 256 << 20

_ALIASES: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "width": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "hidden": ("intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim"),
    "context": ("max_position_embeddings", "n_positions", "n_ctx"),
    "eps": ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
    "activation": ("hidden_activation", "hidden_act", "activation_function", "activation"),
    "experts": ("num_local_experts", "num_experts"),
    "experts_used": ("num_experts_per_tok",),
    "rotary_part": ("partial_rotary_factor", "rotary_pct"),
}

_OWN: dict[str, dict[str, tuple[str, ...]]] = {
    "gpt2": {"hidden": ("n_inner",), "kv_heads": ()},
    "gpt_neox": {"kv_heads": ()},
    "falcon": {"hidden": ("ffn_hidden_size",), "kv_heads": ("num_kv_heads",)},
}
"""Kinds of models (`model_type`) whose classes read some keys alone, whatever else stands in the file."""


@dataclass(frozen=True)
class Rope:
    """Rotary positions: base frequency, kind of scaling (`default` for none), and the scaling's own numbers."""

    theta: float
    kind: str
    values: dict[str, Any]

    def number(self, key: str, default: float | None = None) -> float:
        """A number of the scaling. Raises ModelFileError if there is none and no default."""
        value = self.values.get(key)
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _missing(f"{key} of its {self.kind} RoPE scaling")
        return float(value)


class Config:
    """config.json, with the language model's part in front where a model has several parts."""

    def __init__(self, values: dict[str, Any]) -> None:
        inner = values.get("text_config")
        self.has_parts = isinstance(inner, dict)
        self.values: dict[str, Any] = {**values, **inner} if isinstance(inner, dict) else dict(values)
        self.outer = values

    @property
    def classes(self) -> list[str]:
        """The names of the classes in transformers that the weights belong to."""
        names = self.outer.get("architectures")
        return [str(each) for each in names] if isinstance(names, list) else []

    def get(self, key: str, default: Any = None) -> Any:
        """The value under `key` or one of its other spellings; `default` where it is missing or null."""
        own = _OWN.get(str(self.values.get("model_type")), {})
        for name in (key, *own.get(key, _ALIASES.get(key, ()))):
            value = self.values.get(name)
            if value is not None:
                return value
        return default

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number of at least 0. Raises ModelFileError if it is missing, without default, or something else."""
        value = self.get(key, default)
        if value is None:
            raise _missing(_ALIASES.get(key, (key,))[0])
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
            raise ModelFileError(
                f"config.json is damaged: its {_ALIASES.get(key, (key,))[0]} is {value!r:.40}.", "Download the model again."
            )
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number. Raises ModelFileError as `integer` does."""
        value = self.get(key, default)
        if value is None:
            raise _missing(_ALIASES.get(key, (key,))[0])
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ModelFileError(
                f"config.json is damaged: its {_ALIASES.get(key, (key,))[0]} is {value!r:.40}.", "Download the model again."
            )
        return float(value)

    # -- what nearly every model has

    @cached_property
    def layers(self) -> int:
        return self.integer("layers")

    @cached_property
    def width(self) -> int:
        return self.integer("width")

    @cached_property
    def heads(self) -> int:
        heads = self.integer("heads")
        if heads < 1:
            raise ModelFileError("config.json is damaged: the model has no attention heads.", "Download the model again.")
        return heads

    @cached_property
    def kv_heads(self) -> int:
        return self.integer("kv_heads", self.heads)

    @cached_property
    def head(self) -> int:
        """Length of one head."""
        return self.integer("head_dim", self.width // self.heads)

    @cached_property
    def hidden(self) -> int:
        return self.integer("hidden", 4 * self.width)

    @cached_property
    def context(self) -> int:
        return self.integer("context")

    @cached_property
    def tied(self) -> bool:
        """Whether the output matrix is the token table."""
        return bool(self.values.get("tie_word_embeddings", self.outer.get("tie_word_embeddings", False)))

    @cached_property
    def rotated(self) -> int:
        """How many elements of a head are rotated."""
        part = self._rope_table("full_attention").get("partial_rotary_factor", self.get("rotary_part", 1.0))
        return int(self.head * float(part))

    def rope(self, layers: str = "full_attention") -> Rope:
        """The rotary positions of the layers of one kind (`full_attention` or `sliding_attention`)."""
        table = self._rope_table(layers)
        kind = str(table.get("rope_type") or table.get("type") or "default")
        theta = table.get("rope_theta", self.values.get("rope_theta", self.values.get("rotary_emb_base", 10000.0)))
        if table.get("original_max_position_embeddings") is None:
            original = self.values.get("original_max_position_embeddings")
            table = {**table, **({"original_max_position_embeddings": original} if original else {})}
        return Rope(float(theta), {"su": "longrope"}.get(kind, kind), table)

    def _rope_table(self, layers: str) -> dict[str, Any]:
        table = self.values.get("rope_parameters") or self.values.get("rope_scaling") or {}
        if not isinstance(table, dict):
            raise ModelFileError("config.json is damaged: its RoPE settings make no sense.", "Download the model again.")
        if any(isinstance(each, dict) for each in table.values()):  # one table for each kind of layers
            inner = table.get(layers) or table.get("full_attention") or {}
            return inner if isinstance(inner, dict) else {}
        return table


def read_config(folder: Path) -> Config:
    """config.json of a model folder. Raises NotFoundError or ModelFileError."""
    values = read_json(folder / "config.json")
    if values is None:
        raise NotFoundError(f"{folder} has no config.json.", "Choose a model folder in Hugging Face layout.")
    return Config(values)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None if there is no such file. Raises ModelFileError for anything else."""
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ModelFileError(f"{path.name} is too large to be true.", "Download the model again.")
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.", "Check the file's permissions.") from None
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path.name} is damaged: it is not JSON.", "Download the model again.") from None
    if not isinstance(values, dict):
        raise ModelFileError(f"{path.name} is damaged: it is no JSON object.", "Download the model again.")
    return values


def _missing(what: str) -> ModelFileError:
    return ModelFileError(f"config.json does not say the model's {what}.", "Download the model again.")
