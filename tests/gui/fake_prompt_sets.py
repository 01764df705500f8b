"""Sets of prompts without engine or database, for the fake session: none was ever begun."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any


class FakePromptSets:
    """`left` are the sets that were not done when the program ended: (session row, cells done, all cells)."""

    running = ""

    def __init__(self) -> None:
        self.left: list[tuple[Any, int, int]] = []

    def unfinished(self) -> Future[list[tuple[Any, int, int]]]:
        answer: Future[list[tuple[Any, int, int]]] = Future()
        answer.set_result(self.left)
        return answer

    all_with_counts = unfinished
