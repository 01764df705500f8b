"""Menus and keys as one table. A record names the method that does it; nothing is done here.

`where` is `window` (a method of the window) or a page's id (a method of that page, in force while it is shown). A record without a slot
only appears in the list of keys: the widget that has the focus does it by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """One thing that can be done, with its place in the menus and its keys (portable text; Ctrl is Cmd on a Mac)."""

    id: str
    text: str
    key: str = ""
    where: str = "window"
    slot: str = ""
    menu: str = ""
    """one of `MENUS`; a record with a bar before its menu (`|Chat`) begins a new group; empty: in no menu"""
    help: str = ""
    more_keys: tuple[str, ...] = ()


TABLE: tuple[Action, ...] = (
    Action("chat.new", "New chat", "Ctrl+N", "chat", "new_chat", "Chat", "Begins a conversation with nothing before it"),
    Action("chat.search", "Search chats", "Ctrl+K", "chat", "focus_search", "Chat", "Finds words in everything that was said"),
    Action("chat.send", "Send", "Return", "chat", "", "", "Sends the message"),
    Action("chat.newline", "New line", "Shift+Return", "chat", "", "", "Goes on in a new line"),
    Action("chat.stop", "Stop", "Escape", "chat", "stop", "|Chat", "Stops the reply at the next token"),
    Action("chat.regenerate", "Regenerate", "Ctrl+R", "chat", "regenerate_last", "Chat", "Another version of the last reply"),
    Action("compare.new", "New comparison", "Ctrl+Shift+N", "compare", "new_comparison", "|Compare", "The present one is kept"),
    Action(
        "compare.run", "Run all columns", "Ctrl+Return", "compare", "run", "Compare", "Asks the prompt of all columns at once"
    ),
    Action(
        "compare.add",
        "Add a column",
        "Ctrl+Shift+A",
        "compare",
        "add_column",
        "Compare",
        "One more, with the last one's settings",
    ),
    Action(
        "compare.sweep", "Columns from a rule…", "Ctrl+Shift+E", "compare", "open_sweep", "Compare", "A sweep, a grid, seeds"
    ),
    Action(
        "compare.earlier", "Earlier comparisons…", "Ctrl+Shift+O", "compare", "open_earlier", "Compare", "Opens one of them"
    ),
    Action("model.open", "Open model file…", "Ctrl+O", "window", "open_model", "Model", "Loads a GGUF file"),
    Action(
        "model.open_folder", "Open model folder…", "", "window", "open_model_folder", "Model", "Loads a folder of safetensors"
    ),
    Action(
        "model.choose", "Choose model…", "Ctrl+M", "window", "ask_for_model", "Model", "The starter and the models used lately"
    ),
    Action("model.reload", "Load again", "", "window", "reload_model", "Model", "Loads the last model again"),
    Action("model.unload", "Unload", "", "window", "unload_model", "Model", "Frees the model's memory"),
    Action("view.panel", "Sampling panel", "Ctrl+B", "chat", "toggle_panel", "View", "Shows or hides the sliders"),
    Action("view.lab", "Decoding lab", "Ctrl+L", "chat", "toggle_lab", "View", "The next token's distribution, stage by stage"),
    Action("view.builder", "Prompt builder", "Ctrl+Shift+P", "window", "open_builder", "View", "A prompt made of examples"),
    Action(
        "view.beam",
        "Beam search",
        "Ctrl+Shift+B",
        "window",
        "open_beam",
        "View",
        "Short completions, with the tree of the search",
    ),
    Action("view.colours", "Colour tokens", "Ctrl+T", "chat", "toggle_colours", "View", "By probability or entropy"),
    Action("view.theme", "Light or dark", "Ctrl+Shift+L", "window", "toggle_theme", "View", "Turns the lights on or off"),
    Action("view.full_screen", "Full screen", "F11", "window", "toggle_full_screen", "View", "The whole screen, and back"),
    Action("view.settings", "Settings", "Ctrl+,", "window", "open_settings", "|View", "Theme, text size, data folder"),
    Action("help.keys", "List of keys", "Ctrl+/", "window", "show_keys", "Help", "This list", more_keys=("F1",)),
    Action("help.about", "About Playground", "", "window", "open_about", "Help", "Versions and licences"),
    Action("app.menu", "Menu", "F10", "window", "show_menu", "", "Everything that can be done, as a menu"),
    Action("app.quit", "Quit", "Ctrl+Q", "window", "close", "|Help", "Ends the program; everything is saved"),
)

MENUS = ("Chat", "Compare", "Inside", "Train", "Model", "View", "Help")
"""those that nothing is in are not shown"""

CONTROLS: tuple[tuple[str, str], ...] = (
    ("← →  on a slider", "One step"),
    ("Page up, Page down", "Ten steps"),
    ("Delete  on a slider", "Back to its default"),
    ("1 … 8, T, B  in a comparison", "Vote for a column, a tie, none"),
    ("Alt+← Alt+→  on a column's head", "Moves the column"),
    ("Tab, Shift+Tab", "Next control, the one before"),
)
"""what the controls do by themselves, for the list of keys"""


def page_actions(pages: Iterable[tuple[str, str, str]]) -> tuple[Action, ...]:
    """What goes to each page, given as (id, title, key) in the rail's order."""
    return tuple(
        Action(f"page.{name}", title, key, "window", f"open:{name}", "View", f"Goes to {title}") for name, title, key in pages
    )
