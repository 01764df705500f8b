"""The tables, as steps that are only ever added to: a database of any age is brought up to date by the steps it lacks.

A step that has shipped is never edited; a new one is named in `opening.STEPS` too. Imported only when a database lacks a step:
sqlite-utils takes 0.3 s.
"""

from __future__ import annotations

from sqlite_utils import Migrations
from sqlite_utils.db import Database

from playground.history.opening import APPLICATION_ID
from playground.history.search import IS_UNSPACED

migrations = Migrations("playground")


@migrations()  # type: ignore[untyped-decorator]
def m001_tables(db: Database) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _TABLES:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m002_search(db: Database) -> None:
    for statement in _SEARCH:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m003_fits(db: Database) -> None:
    for statement in _FITS:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m004_adapters(db: Database) -> None:
    db.execute("ALTER TABLE generations ADD COLUMN adapter TEXT NOT NULL DEFAULT ''")  # a path; empty: none was on
    db.execute("ALTER TABLE generations ADD COLUMN adapter_sha256 TEXT NOT NULL DEFAULT ''")


@migrations()  # type: ignore[untyped-decorator]
def m005_comparisons(db: Database) -> None:
    for statement in _COMPARISONS:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m006_measured(db: Database) -> None:
    db.execute(
        """CREATE TABLE measured (
            original TEXT NOT NULL, -- SHA-256 of the model
            model TEXT NOT NULL, -- the same, or the original's with how it was quantized
            text TEXT NOT NULL, -- SHA-256 of the text, how it was read, and the library
            context INTEGER NOT NULL,
            chunks INTEGER NOT NULL,
            made REAL NOT NULL,
            figures TEXT NOT NULL, -- JSON
            PRIMARY KEY (original, model, text, context, chunks)
        ) WITHOUT ROWID"""
    )


@migrations()  # type: ignore[untyped-decorator]
def m007_documents(db: Database) -> None:
    db.execute(
        """CREATE TABLE documents (
            session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
            data TEXT NOT NULL -- JSON: all that a session of another kind than a conversation consists of
        ) WITHOUT ROWID"""
    )


@migrations()  # type: ignore[untyped-decorator]
def m008_training(db: Database) -> None:
    for statement in _TRAINING:
        db.execute(statement)


_TRAINING = (
    "ALTER TABLE runs ADD COLUMN data_name TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN data_sha256 TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN adapter TEXT NOT NULL DEFAULT ''",  # what came of it: a folder
    "ALTER TABLE runs ADD COLUMN step INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN steps INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN hint TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN summary TEXT NOT NULL DEFAULT '{}'",  # JSON
    "CREATE INDEX runs_started ON runs (started)",
    """CREATE TABLE samples (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        probe INTEGER NOT NULL,
        base INTEGER NOT NULL DEFAULT 0, -- 1: of the model as it was before
        prompt TEXT NOT NULL,
        reply TEXT NOT NULL,
        PRIMARY KEY (run_id, step, probe, base)
    ) WITHOUT ROWID""",
)

_COMPARISONS = (
    "ALTER TABLE sessions ADD COLUMN prompt TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE sessions ADD COLUMN columns TEXT NOT NULL DEFAULT '[]'",  # JSON
    "ALTER TABLE generations ADD COLUMN group_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE generations ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE generations ADD COLUMN column_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE generations ADD COLUMN shared INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX generations_group ON generations (group_id) WHERE group_id != ''",
    """CREATE TABLE prompts (
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        idx INTEGER NOT NULL,
        prompt TEXT NOT NULL,
        system TEXT NOT NULL DEFAULT '',
        more TEXT NOT NULL DEFAULT '{}', -- JSON: what else stood in its line
        PRIMARY KEY (session_id, idx)
    ) WITHOUT ROWID""",
    """CREATE TABLE results (
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        idx INTEGER NOT NULL, -- of the prompt
        column_id TEXT NOT NULL,
        state TEXT NOT NULL,
        text TEXT NOT NULL,
        token_ids TEXT NOT NULL DEFAULT '[]', -- JSON
        seed INTEGER NOT NULL DEFAULT 0,
        prompt_tokens INTEGER NOT NULL DEFAULT 0,
        completion_tokens INTEGER NOT NULL DEFAULT 0,
        mean_logprob REAL, -- the model's own, natural logarithm; NULL: no token
        mean_entropy REAL, -- in nats
        decode_s REAL NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',
        finished REAL NOT NULL,
        PRIMARY KEY (session_id, idx, column_id)
    ) WITHOUT ROWID""",
)

_FITS = (
    """CREATE TABLE fits (
        id TEXT PRIMARY KEY,
        model_path TEXT NOT NULL,
        model_name TEXT NOT NULL DEFAULT '',
        engine_build TEXT NOT NULL DEFAULT '',
        context TEXT NOT NULL DEFAULT '{}', -- JSON: how the model was loaded
        predicted TEXT NOT NULL DEFAULT '{}', -- JSON: bytes by device and term
        measured TEXT NOT NULL DEFAULT '{}', -- JSON: the same, as it came to be
        made REAL NOT NULL
    )""",
    "CREATE INDEX fits_made ON fits (made)",
)

# `number` is spelled out where full-text search refers to rows: an implicit rowid may change when somebody runs VACUUM.
# Long columns come last: SQLite reads a row only as far as it is asked to.
_TABLES = (
    """CREATE TABLE sessions (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL DEFAULT 'chat',
        title TEXT NOT NULL DEFAULT '',
        model_path TEXT NOT NULL DEFAULT '',
        model_name TEXT NOT NULL DEFAULT '',
        tip TEXT NOT NULL DEFAULT '', -- the message that the visible branch ends with
        created REAL NOT NULL, -- seconds since 1970, as all times here
        updated REAL NOT NULL,
        deleted REAL, -- thrown away at; NULL: not
        sampling TEXT NOT NULL DEFAULT '{}', -- JSON
        system TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX sessions_updated ON sessions (updated)",
    """CREATE TABLE messages (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        parent_id TEXT REFERENCES messages (id), -- NULL for the first
        role TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'complete',
        created REAL NOT NULL,
        owner TEXT NOT NULL DEFAULT '', -- while streaming: the process that writes it, pid:start
        reply_start TEXT NOT NULL DEFAULT '',
        content TEXT NOT NULL
    )""",
    "CREATE INDEX messages_session ON messages (session_id)",
    "CREATE INDEX messages_parent ON messages (parent_id)",
    "CREATE INDEX messages_streaming ON messages (state) WHERE state = 'streaming'",
    """CREATE TABLE generations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        model_path TEXT NOT NULL DEFAULT '',
        model_name TEXT NOT NULL DEFAULT '',
        model_sha256 TEXT NOT NULL DEFAULT '',
        engine TEXT NOT NULL DEFAULT '',
        engine_build TEXT NOT NULL DEFAULT '',
        device TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL DEFAULT 'streaming',
        error TEXT NOT NULL DEFAULT '',
        owner TEXT NOT NULL DEFAULT '',
        seed INTEGER NOT NULL DEFAULT 0,
        continued INTEGER NOT NULL DEFAULT 0,
        prompt_tokens INTEGER NOT NULL DEFAULT 0,
        cached_tokens INTEGER NOT NULL DEFAULT 0,
        completion_tokens INTEGER NOT NULL DEFAULT 0,
        prefill_s REAL NOT NULL DEFAULT 0,
        decode_s REAL NOT NULL DEFAULT 0,
        started REAL NOT NULL,
        finished REAL,
        context TEXT NOT NULL DEFAULT '{}', -- JSON: how the model was loaded
        settings TEXT NOT NULL DEFAULT '{}', -- JSON: sampling at the start
        timeline TEXT NOT NULL DEFAULT '[]', -- JSON: later settings, each with its token's index and place in the text
        batches TEXT NOT NULL DEFAULT '[]', -- JSON: [size, count] of the decode calls behind the prompt's cache
        prompt TEXT NOT NULL DEFAULT '',
        prompt_ids TEXT NOT NULL DEFAULT '[]' -- JSON: token ids
    )""",
    "CREATE INDEX generations_started ON generations (started)",
    "CREATE INDEX generations_session ON generations (session_id)",
    "CREATE INDEX generations_message ON generations (message_id)",
    "CREATE INDEX generations_streaming ON generations (state) WHERE state = 'streaming'",
    """CREATE TABLE tokens (
        generation_id TEXT NOT NULL REFERENCES generations (id) ON DELETE CASCADE,
        idx INTEGER NOT NULL, -- 0 for the completion's first token
        token_id INTEGER NOT NULL,
        text TEXT NOT NULL,
        logprob REAL, -- the model's own, natural logarithm; NULL: minus infinity
        probability REAL, -- under the settings in force; NULL: not known
        entropy REAL, -- in nats; NULL: not known
        alternatives TEXT NOT NULL DEFAULT '[]', -- JSON: [token id, text, logprob, probability]
        PRIMARY KEY (generation_id, idx)
    ) WITHOUT ROWID""",
    """CREATE TABLE votes (
        id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        better_id TEXT REFERENCES messages (id) ON DELETE CASCADE, -- NULL: none was better
        worse_id TEXT REFERENCES messages (id) ON DELETE CASCADE,
        verdict TEXT NOT NULL DEFAULT 'better', -- or tie, or both_bad
        created REAL NOT NULL,
        note TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX votes_session ON votes (session_id)",
    "CREATE INDEX votes_better ON votes (better_id)",
    "CREATE INDEX votes_worse ON votes (worse_id)",
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        title TEXT NOT NULL DEFAULT '',
        folder TEXT NOT NULL DEFAULT '',
        model_path TEXT NOT NULL DEFAULT '',
        model_name TEXT NOT NULL DEFAULT '',
        data_path TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL,
        error TEXT NOT NULL DEFAULT '',
        owner TEXT NOT NULL DEFAULT '',
        started REAL NOT NULL,
        finished REAL,
        settings TEXT NOT NULL DEFAULT '{}' -- JSON
    )""",
    """CREATE TABLE metrics (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        step INTEGER NOT NULL,
        value REAL,
        time REAL NOT NULL,
        PRIMARY KEY (run_id, name, step)
    ) WITHOUT ROWID""",
    """CREATE TABLE models (
        path TEXT PRIMARY KEY,
        name TEXT NOT NULL DEFAULT '',
        size INTEGER NOT NULL,
        mtime REAL NOT NULL,
        sha256 TEXT NOT NULL DEFAULT '', -- of the file of that size and time
        last_used REAL
    )""",
)

# Two indexes over messages: words for everything, and runs of three characters for the rows in scripts that put no space
# between words. The second is given two spaces at the end, so that every character of a text begins such a run, and one or two
# of them can be looked up as the beginning of one.
_SEARCH = (
    """CREATE VIRTUAL TABLE messages_fts USING fts5 (
        content, content='messages', content_rowid='number', tokenize='unicode61 remove_diacritics 2', prefix='3'
    )""",
    """CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages BEGIN
        INSERT INTO messages_fts (rowid, content) VALUES (new.number, new.content);
    END""",
    """CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages BEGIN
        INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.number, old.content);
    END""",
    """CREATE TRIGGER messages_fts_update AFTER UPDATE OF content ON messages WHEN old.content != new.content BEGIN
        INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.number, old.content);
        INSERT INTO messages_fts (rowid, content) VALUES (new.number, new.content);
    END""",
    f"""CREATE VIEW messages_unspaced_text AS
        SELECT number, content || '  ' AS content FROM messages WHERE {IS_UNSPACED}""",
    """CREATE VIRTUAL TABLE messages_unspaced USING fts5 (
        content, content='messages_unspaced_text', content_rowid='number', tokenize='trigram'
    )""",
    "CREATE VIRTUAL TABLE messages_unspaced_terms USING fts5vocab (messages_unspaced, instance)",
    f"CREATE INDEX messages_unspaced_rows ON messages (number) WHERE {IS_UNSPACED}",
    f"""CREATE TRIGGER messages_unspaced_insert AFTER INSERT ON messages WHEN new.{IS_UNSPACED} BEGIN
        INSERT INTO messages_unspaced (rowid, content) VALUES (new.number, new.content || '  ');
    END""",
    f"""CREATE TRIGGER messages_unspaced_delete AFTER DELETE ON messages WHEN old.{IS_UNSPACED} BEGIN
        INSERT INTO messages_unspaced (messages_unspaced, rowid, content) VALUES ('delete', old.number, old.content || '  ');
    END""",
    f"""CREATE TRIGGER messages_unspaced_update AFTER UPDATE OF content ON messages
        WHEN old.content != new.content AND (old.{IS_UNSPACED} OR new.{IS_UNSPACED}) BEGIN
        INSERT INTO messages_unspaced (messages_unspaced, rowid, content)
            SELECT 'delete', old.number, old.content || '  ' WHERE old.{IS_UNSPACED};
        INSERT INTO messages_unspaced (rowid, content) SELECT new.number, new.content || '  ' WHERE new.{IS_UNSPACED};
    END""",
    """CREATE VIRTUAL TABLE sessions_fts USING fts5 (
        title, content='sessions', content_rowid='number', tokenize='unicode61 remove_diacritics 2', prefix='3'
    )""",
    """CREATE TRIGGER sessions_fts_insert AFTER INSERT ON sessions BEGIN
        INSERT INTO sessions_fts (rowid, title) VALUES (new.number, new.title);
    END""",
    """CREATE TRIGGER sessions_fts_delete AFTER DELETE ON sessions BEGIN
        INSERT INTO sessions_fts (sessions_fts, rowid, title) VALUES ('delete', old.number, old.title);
    END""",
    """CREATE TRIGGER sessions_fts_update AFTER UPDATE OF title ON sessions WHEN old.title != new.title BEGIN
        INSERT INTO sessions_fts (sessions_fts, rowid, title) VALUES ('delete', old.number, old.title);
        INSERT INTO sessions_fts (rowid, title) VALUES (new.number, new.title);
    END""",
    "INSERT INTO messages_fts (messages_fts) VALUES ('rebuild')",
    "INSERT INTO messages_unspaced (messages_unspaced) VALUES ('rebuild')",
    "INSERT INTO sessions_fts (sessions_fts) VALUES ('rebuild')",
)
