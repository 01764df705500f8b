"""What the window remembers between two starts: `settings.json` in the data folder.

Written whole and atomically, off the window's thread; a damaged file is put aside as `settings.json.bad` and said so; keys that this
version does not know are kept. Knows no widget.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playground.params import ContextSettings, SamplingSettings

RECENT_MODELS = 12
DEFAULTS: dict[str, Any] = {
    "theme": "system",
    "text_size": "normal",
    "pace": -1.0,  # not chosen: see Window._set_pace
    "panel_open": True,
    "recent_models": [],
    "last_model": "",
    "geometry": "",
    "page": "chat",
}


class Preferences:
    """A small dictionary with a file behind it. Reading never fails; `damage` says what was wrong with the file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.damage = ""
        self.on_error: Callable[[OSError], None] = lambda error: None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[str, Any], None]] = []
        self._dirty = False
        self._data = self._read()

    def get(self, key: str, default: Any = None) -> Any:
        value = self._data.get(key, DEFAULTS.get(key, default))
        known = DEFAULTS.get(key)
        if (
            known is not None
            and not isinstance(value, type(known))
            and not (isinstance(known, float) and isinstance(value, int))
        ):
            value = known  # somebody edited the file by hand
        return copy.copy(value)

    def set(self, key: str, value: Any) -> None:
        """Keeps a JSON value; it reaches the file with the next `save`."""
        if self._data.get(key, DEFAULTS.get(key)) == value:
            return
        self._data[key] = value
        self._dirty = True
        for listener in tuple(self._listeners):
            listener(key, value)

    def subscribe(self, listener: Callable[[str, Any], None]) -> None:
        """Calls `listener(key, value)` on the thread that changes something."""
        self._listeners.append(listener)

    # -- the file

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self.file.read_text(encoding="utf-8"))
            if not isinstance(data, dict):
                raise ValueError("not an object")
            return data
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.damage = f"The settings could not be read ({error.strerror}). Defaults are used."
        except ValueError:
            self.damage = "The settings file was damaged. It was put aside as settings.json.bad, and defaults are used."
            with contextlib.suppress(OSError):
                os.replace(self.file, self.file.with_name(self.file.name + ".bad"))
        return {}

    def save(self, wait: bool = False) -> None:
        """Writes the file if something changed: beside its name, to the disk, then renamed."""
        if not self._dirty:
            return
        self._dirty = False
        text = json.dumps(self._data, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        if wait:
            self._write(text)
        else:
            threading.Thread(target=self._write, args=(text,), name="settings", daemon=True).start()

    def _write(self, text: str) -> None:
        beside = self.file.with_name(self.file.name + ".tmp")
        with self._lock:
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with beside.open("w", encoding="utf-8") as stream:
                    stream.write(text)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(beside, self.file)
            except OSError as error:
                self.on_error(error)

    # -- with a shape

    @property
    def sampling(self) -> SamplingSettings:
        return _sampling(self._data.get("sampling"))

    @sampling.setter
    def sampling(self, settings: SamplingSettings) -> None:
        from playground.params import to_dict

        self.set("sampling", to_dict(settings))

    def presets(self) -> dict[str, SamplingSettings]:
        """The user's own presets, by name, in the order they were made."""
        found = self._data.get("presets")
        return {name: _sampling(value) for name, value in found.items()} if isinstance(found, dict) else {}

    def set_preset(self, name: str, settings: SamplingSettings) -> None:
        from playground.params import to_dict

        kept = {each: to_dict(value) for each, value in self.presets().items()}
        self.set("presets", kept | {name: to_dict(settings)})

    def rename_preset(self, old: str, new: str) -> None:
        from playground.params import to_dict

        self.set("presets", {new if each == old else each: to_dict(value) for each, value in self.presets().items()})

    def delete_preset(self, name: str) -> None:
        from playground.params import to_dict

        self.set("presets", {each: to_dict(value) for each, value in self.presets().items() if each != name})

    def preset_of(self, settings: SamplingSettings) -> str:
        """The name of the preset that these settings are, else an empty text. Seed, length and stop strings do not matter."""
        from playground.params import PRESETS

        for name, preset in {**PRESETS, **self.presets()}.items():
            if _essence(preset) == _essence(settings):
                return name
        return ""

    def remember_model(self, path: str) -> None:
        """Puts a model at the head of the recent ones."""
        rest = [each for each in self.get("recent_models") if each != path and isinstance(each, str)]
        if path != "starter":
            self.set("recent_models", [path, *rest][:RECENT_MODELS])
        self.set("last_model", path)

    @property
    def context(self) -> ContextSettings:
        """How models are loaded that have no settings of their own."""
        return _context(self._data.get("context"))

    @context.setter
    def context(self, settings: ContextSettings) -> None:
        from playground.params import to_dict

        self.set("context", to_dict(settings))

    def context_for(self, path: str) -> ContextSettings:
        """How a model is loaded: its own settings, else those for all."""
        own = self._data.get("context_of")
        return _context(own[path]) if isinstance(own, dict) and path in own else self.context

    def set_context_for(self, path: str, settings: ContextSettings) -> None:
        from playground.params import to_dict

        own = self._data.get("context_of")
        self.set("context_of", (own if isinstance(own, dict) else {}) | {path: to_dict(settings)})

    def forget_model(self, path: str) -> None:
        self.set("recent_models", [each for each in self.get("recent_models") if each != path])


def is_starter(path: str) -> bool:
    """Whether a path is that of the model that ships with the program."""
    from playground.paths import starter

    return path == "starter" or (bool(path) and Path(path) == starter())


APART = ("seed", "max_tokens", "stop", "adapter_scale")
"""fields that a preset carries but that do not tell presets apart, and that choosing a shipped one leaves alone"""


def _essence(settings: SamplingSettings) -> dict[str, Any]:
    from playground.params import to_dict

    return {name: value for name, value in to_dict(settings).items() if name not in APART}


def _read(name: str, value: Any) -> Any:
    """Settings of a class of `params` from the file; the defaults, if what stands there is nonsense."""
    from playground import params  # imported late: reading the file must not keep the window waiting
    from playground.errors import PlaygroundError

    cls = getattr(params, name)
    try:
        return params.from_dict(cls, value) if isinstance(value, dict) else cls()
    except (PlaygroundError, TypeError):
        return cls()


def _sampling(value: Any) -> SamplingSettings:
    settings: SamplingSettings = _read("SamplingSettings", value)
    return settings


def _context(value: Any) -> ContextSettings:
    settings: ContextSettings = _read("ContextSettings", value)
    return settings
