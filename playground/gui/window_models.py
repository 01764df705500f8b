"""What the window does with models: loading them as a user wants it, and showing what became of it. Knows the session and the pickers.

A part of the window (`gui.window`), which is a page's and the menus' address for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QWidget

from playground.errors import PlaygroundError
from playground.gui.preferences import Preferences, is_starter

if TYPE_CHECKING:
    from collections.abc import Callable

    from playground.gui.widgets.job_strip import JobStrip
    from playground.session import Session

    _Base = QWidget
else:
    _Base = object

STARTER_PACE = 40.0
"""Tokens a second: at the starter's own, a story is over before anybody can move a slider."""


class WindowModels(_Base):
    """Mixed into the window."""

    session: Session | None
    preferences: Preferences
    pages: dict[str, QWidget]
    jobs: JobStrip
    notify: Callable[..., None]
    open: Callable[..., None]

    def load_model(self, model: str | Path) -> None:
        """Loads a model with the settings kept for it; what is wrong is told in a notice."""
        if self.session is None:
            return
        try:
            self.session.load(model, self.preferences.context_for(str(model)))
        except PlaygroundError as error:
            self.notify(error.message, error.hint, "error", "choose_model", "model")

    def open_model(self) -> None:
        """Asks for a GGUF file."""
        from playground.gui.widgets.model_picker import ask_for_file

        ask_for_file(self, self.preferences, self.load_model)

    def open_model_folder(self) -> None:
        """Asks for a folder in Hugging Face layout."""
        from playground.gui.widgets.model_picker import ask_for_folder

        ask_for_folder(self, self.preferences, self.load_model)

    def put_on_adapter(self, path: str) -> None:
        """Loads the model that is loaded anew, with this adapter on."""
        from playground.gui.widgets.model_picker import ModelPicker

        self.open("chat")
        for picker in self.pages["chat"].findChildren(ModelPicker):
            picker.put_on(path)

    def ask_for_model(self) -> None:
        self.open("chat")
        picker = self.findChild(QWidget, "models.picker")
        if picker is not None and hasattr(picker, "open"):
            picker.open()

    def reload_model(self) -> None:
        if self.session is not None:
            try:
                self.session.reload()
            except PlaygroundError as error:
                self.notify(error.message, error.hint, "error", "choose_model", "model")

    def unload_model(self) -> None:
        if self.session is not None:
            self.session.unload()

    # -- what became of it

    def model_changed(self, state: Any) -> None:
        from playground.gui.widgets.job_strip import Job
        from playground.gui.widgets.model_picker import STARTED, ModelPicker, is_folder

        for picker in self.findChildren(ModelPicker):
            picker.handle(state)

        if state.state == "loading":
            assert self.session is not None
            starting = "starting transformers" if is_folder(state.path) and state.fraction < STARTED else ""
            fraction = -1.0 if starting else state.fraction
            self.jobs.put(Job("model", f"Loading {state.name}", fraction, starting, cancel=self.session.unload))
        else:
            self.jobs.remove("model")
        if state.state == "ready":
            self.set_pace(state.path)
            self.preferences.remember_model("starter" if is_starter(state.path) else state.path)
            self.jobs.show_summary(_summary(state.info))
            self.notify("", key="model")
        elif state.state == "failed":
            self.jobs.show_summary("")
            self.notify(state.message, state.hint, "error", "choose_model", "model")
        elif state.state == "lost":  # the session has a notice for that
            self.jobs.show_summary("")
        elif state.state == "none":
            self.jobs.show_summary("No model is loaded")

    def set_pace(self, path: str) -> None:
        """The pace that was chosen; as long as none was, the starter is slowed down to where a person can steer."""
        assert self.session is not None
        chosen = float(self.preferences.get("pace"))
        self.session.set_pace(chosen if chosen >= 0 else STARTER_PACE if is_starter(path) else 0.0)


def _summary(info: Any) -> str:
    if info is None:
        return ""
    size = f"{info.size / 1e9:.1f} GB" if info.size >= 1e9 else f"{info.size / 1e6:.1f} MB"
    count = f"{info.parameters / 1e9:.1f} B" if info.parameters >= 1e9 else f"{info.parameters / 1e6:.1f} M"
    parts = (
        info.name,
        info.architecture,
        f"{count} parameters",
        info.quantization,
        size,
        f"{info.context:,} tokens of context",
    )
    return "  ·  ".join(each for each in parts if each)
