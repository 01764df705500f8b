"""The part of the database that belongs to comparisons: votes, sets of prompts, and what each column replied to each of them.

A cell (prompt, column) has at most one result: writing it again replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from playground.history import rows
from playground.history.connected import Connected
from playground.history.records import GenerationRow, PromptRow, ResultRow, VoteRow


class Compared(Connected):
    """What `Store` can do for comparisons."""

    def group(self, group_id: str) -> list[GenerationRow]:
        """All generations that were decoded in the same batches, by their place in them, with prompts."""
        found = self._select(
            "generations", rows.GENERATION, "WHERE group_id = ? AND group_id != '' ORDER BY sequence", [group_id]
        )
        return [rows.generation(row) for row in found]

    # -- votes

    def replace_votes(self, messages: Sequence[str], votes: Iterable[VoteRow]) -> None:
        """Puts these votes in place of all that there are between these messages."""
        places = ", ".join("?" * len(messages))
        with self.atomic():
            self._run(f"DELETE FROM votes WHERE better_id IN ({places}) AND worse_id IN ({places})", [*messages, *messages])
            for vote in votes:
                self._add("votes", rows.to_columns(vote))

    def votes(self, session_id: str) -> list[VoteRow]:
        """Of one comparison, by age."""
        return [
            rows.vote(row)
            for row in self._select("votes", rows.VOTE, "WHERE session_id = ? ORDER BY created, id", [session_id])
        ]

    # -- sets of prompts

    def add_prompts(self, session_id: str, prompts: Iterable[PromptRow]) -> None:
        columns = [
            (session_id, each.index, rows.clean(each.prompt), rows.clean(each.system), rows.dump(each.more)) for each in prompts
        ]
        with self.atomic(), self._told():
            self._open_connection.executemany(
                "INSERT INTO prompts (session_id, idx, prompt, system, more) VALUES (?, ?, ?, ?, ?)", columns
            )

    def prompts(self, session_id: str, limit: int = -1, offset: int = 0) -> list[PromptRow]:
        """In the order of the file; `limit` -1 for all."""
        found = self._query(
            f"SELECT {', '.join(rows.PROMPT)} FROM prompts WHERE session_id = ? ORDER BY idx LIMIT ? OFFSET ?",
            [session_id, limit, offset],
        )
        return [rows.prompt(row) for row in found]

    def prompt_count(self, session_id: str) -> int:
        return int(self._query("SELECT count(*) FROM prompts WHERE session_id = ?", [session_id])[0][0])

    def open_prompts(self, session_id: str, columns: Sequence[str], after: int, limit: int) -> list[PromptRow]:
        """The next prompts behind index `after` to which at least one of these columns has no result yet."""
        places = ", ".join("?" * len(columns))
        found = self._query(
            f"SELECT {', '.join(rows.PROMPT)} FROM prompts p WHERE session_id = ? AND idx > ? AND ("
            f" SELECT count(*) FROM results r WHERE r.session_id = p.session_id AND r.idx = p.idx AND r.column_id IN ({places})"
            ") < ? ORDER BY idx LIMIT ?",
            [session_id, after, *columns, len(columns), limit],
        )
        return [rows.prompt(row) for row in found]

    def put_result(self, session_id: str, result: ResultRow) -> None:
        columns = {("idx" if name == "index" else name): value for name, value in rows.to_columns(result).items()}
        names = ("session_id", *columns)
        self._run(
            f"INSERT OR REPLACE INTO results ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            [session_id, *columns.values()],
        )

    def results(self, session_id: str, first: int = 0, last: int = -1) -> list[ResultRow]:
        """Of the prompts with index `first` to `last` (-1: the end), by prompt, then by column id."""
        found = self._query(
            f"SELECT {', '.join(rows.RESULT)} FROM results WHERE session_id = ? AND idx >= ? AND (? < 0 OR idx <= ?)"
            " ORDER BY idx, column_id",
            [session_id, first, last, last],
        )
        return [rows.result(row) for row in found]

    def result_counts(self, session_id: str) -> dict[str, int]:
        """How many prompts each column has replied to."""
        found = self._query("SELECT column_id, count(*) FROM results WHERE session_id = ? GROUP BY column_id", [session_id])
        return {row[0]: row[1] for row in found}

    def cells_done(self, session_id: str, indices: Sequence[int]) -> set[tuple[int, str]]:
        """Of these prompts, the (index, column id) pairs that have a result."""
        places = ", ".join("?" * len(indices))
        found = self._query(
            f"SELECT idx, column_id FROM results WHERE session_id = ? AND idx IN ({places})", [session_id, *indices]
        )
        return {(row[0], row[1]) for row in found}

    def cells(self, session_id: str, indices: Sequence[int]) -> list[tuple[PromptRow, dict[str, ResultRow]]]:
        """These prompts of a set, in the order given, each with its results by column."""
        listed = rows.dump(list(indices))
        found = self._query(
            f"SELECT {', '.join(rows.PROMPT)} FROM prompts WHERE session_id = ? AND idx IN (SELECT value FROM json_each(?))",
            [session_id, listed],
        )
        prompts = {prompt.index: prompt for prompt in map(rows.prompt, found)}
        results: dict[int, dict[str, ResultRow]] = {}
        for row in self._query(
            f"SELECT {', '.join(rows.RESULT)} FROM results WHERE session_id = ? AND idx IN (SELECT value FROM json_each(?))",
            [session_id, listed],
        ):
            result = rows.result(row)
            results.setdefault(result.index, {})[result.column_id] = result
        return [(prompts[index], results.get(index, {})) for index in indices if index in prompts]

    def matching(self, session_id: str, words: str, state: str, columns: int) -> list[int]:
        """The indices of a set's prompts with these words in the prompt or a reply. `state`: `open` (a result is missing), `failed`,
        `different` (replies that are not the same), anything else for all.
        """
        of_row = "FROM results r WHERE r.session_id = p.session_id AND r.idx = p.idx"
        conditions = {
            "open": f"(SELECT count(*) {of_row}) < {int(columns)}",
            "failed": f"EXISTS (SELECT 1 {of_row} AND r.state = 'failed')",
            "different": f"(SELECT count(DISTINCT r.text) {of_row}) > 1",
        }
        has_words = f"(?2 = '' OR instr(lower(p.prompt), ?2) OR EXISTS (SELECT 1 {of_row} AND instr(lower(r.text), ?2)))"
        found = self._query(
            f"SELECT p.idx FROM prompts p WHERE p.session_id = ?1 AND {has_words} AND {conditions.get(state, '1')} ORDER BY p.idx",
            [session_id, words.strip().lower()],
        )
        return [row[0] for row in found]
