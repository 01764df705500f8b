"""What a comparison shows as a table: one row a column, with its settings, its reply and what the reply comes to in numbers."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from playground.decoding import differences
from playground.params import to_dict

if TYPE_CHECKING:
    from playground.history.store import Store

FIRST = ("column", "label", "model", "prompt", "system", "text", "finish_reason", "seed")
LAST = (
    "settings_changed",
    "reply_start",
    "prompt_tokens",
    "completion_tokens",
    "decode_s",
    "distinct_1",
    "distinct_2",
    "repetition",
    "mean_logprob",
    "mean_entropy",
)
"""the columns of the table before and after the sampling settings"""


def as_csv(store: Store, session_id: str) -> str:
    """Comma-separated, with a head; an empty field where a number cannot be said. Log-probabilities natural, entropy in nats."""
    chat = store.chat(session_id)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    names = [name for name in to_dict(chat.session.sampling) if name != "seed"]
    writer.writerow([*FIRST, *names, *LAST])
    for place, (column, message) in enumerate(chat.latest(), 1):
        made = chat.generations[message.id]
        tokens = store.tokens(made.id)
        found = differences.summary(
            [token.token_id for token in tokens], [token.logprob for token in tokens], [token.entropy for token in tokens]
        )
        asked = next((each.content for each in chat.messages if each.id == message.parent_id), "")
        settings = to_dict(made.settings)
        numbers = (found.distinct_1, found.distinct_2, found.repetition, found.mean_logprob, found.entropy)
        writer.writerow(
            [place, column.label, made.model_name, asked, chat.session.system, message.content, made.state, made.seed]
            + [_field(settings[name]) for name in names]
            + [len(made.timeline), message.reply_start, made.prompt_tokens, made.completion_tokens, made.decode_s]
            + ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
        )
    return out.getvalue()


def _field(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value
