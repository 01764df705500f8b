"""Old databases, new ones, broken ones, and files that are none."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from playground.errors import PlaygroundError, StorageError
from playground.history import opening
from playground.history.migrations import migrations
from playground.history.store import Store
from tests.history.chats import add_chat, run_child


def test_an_older_database_is_brought_up_to_date_with_all_that_is_in_it(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before="m002_search")
        connection.execute("INSERT INTO sessions (id, title, created, updated) VALUES ('s', 'Animals', 1, 1)")
        connection.execute(
            "INSERT INTO messages (id, session_id, role, created, content) VALUES ('m', 's', 'user', 1, 'a fox 狐狸')"
        )
    connection.close()
    with Store(path) as store:
        assert store.chat("s").messages[0].content == "a fox 狐狸"
        assert [hit.message_id for hit in store.search("fox")] == [hit.message_id for hit in store.search("狐")] == ["m"]
        assert [hit.role for hit in store.search("animals")] == ["title"]


def test_every_step_is_named() -> None:
    assert [each.name for each in migrations._migrations] == list(opening.STEPS)


def test_opening_again_changes_nothing(path: Path) -> None:
    with Store(path) as store:
        add_chat(store, "s", "a fox")
    with Store(path) as store, Store(path, read_only=True) as reader:
        assert reader.chat("s") == store.chat("s")
        with pytest.raises(StorageError, match="read-only"):
            reader.delete_session("s")


def test_many_may_open_a_new_one_at_the_same_time(path: Path) -> None:
    code = """
import sys, threading
from pathlib import Path
from playground.history.store import Store
from tests.history.chats import session
def one(number):
    with Store(Path(sys.argv[1]), timeout_s=60) as store:
        store.add_session(session(f"s{number}"))
threads = [threading.Thread(target=one, args=[number]) for number in range(8)]
[each.start() for each in threads]; [each.join() for each in threads]
"""
    run_child(code, path)
    with Store(path) as store:
        assert len(store.sessions()) == 8


def refused(path: Path) -> StorageError:
    """The sentence for a file that cannot be used, which must be as it was afterwards."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StorageError) as caught:
        Store(path)
    message = caught.value.message
    assert message.count(str(path)) == 1 or message.startswith(f"{path.parent} is a file")
    assert caught.value.hint
    if before is not None:
        assert path.read_bytes() == before
    return caught.value


def test_a_text_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("these are my notes " * 1000)
    assert "damaged" in refused(path).message


def test_a_folder_in_its_place(path: Path) -> None:
    path.mkdir(parents=True)
    refused(path)


def test_a_file_where_the_folder_should_be(path: Path) -> None:
    path.parent.write_text("")
    assert "Move it away" in refused(path).hint


def test_a_database_of_another_program(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE sessions (id)")
    connection.close()
    assert "another program" in refused(path).message


def test_a_database_of_a_newer_version(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('playground', 'm999_teleport', 'then')"
    )
    connection.commit()
    connection.close()
    assert "newer version" in refused(path).message


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with Store(path) as store:
        add_chat(store, "s", "a fox")


def test_a_damaged_file_gives_a_sentence_wherever_the_damage_is(path: Path, tmp_path: Path) -> None:
    with Store(path) as store, store.atomic():
        for number in range(30):
            add_chat(store, f"s{number}", *(["a fox and an owl " * 30] * 6))
    whole = path.read_bytes()
    rng = random.Random(1)
    sentences = 0
    for number in range(40):
        spoiled = bytearray(whole)
        if number % 3 == 0:
            del spoiled[rng.randrange(1, len(spoiled)) :]
        else:
            start = rng.choice([rng.randrange(100), rng.randrange(len(spoiled))])
            spoiled[start : start + 3000] = rng.randbytes(len(spoiled[start : start + 3000]))
        copy = tmp_path / f"{number}.db"
        copy.write_bytes(spoiled)
        try:
            with Store(copy) as store:
                for session in store.sessions():
                    store.chat(session.id)
                    store.generations(session_id=session.id)
                store.search("fox")
                add_chat(store, "new", "a cat")
        except PlaygroundError:
            sentences += 1
        except sqlite3.DatabaseError as error:
            pytest.fail(f"{number}: {error!r} is no sentence")
    assert sentences > 10


def test_the_window_may_import_all_of_it_and_open_a_database_it_knows_before_its_first_paint(path: Path) -> None:
    code = """
import sys
import playground.history.export, playground.history.lock, playground.history.recorder
slow = "sqlite_utils", "psutil", "click", "pluggy", "numpy", "pandas"
print([name for name in slow if name in sys.modules])
from pathlib import Path
from playground.history.store import Store
Store(Path(sys.argv[1])).close()
print([name for name in slow if name in sys.modules])
"""
    Store(path).close()
    assert run_child(code, path) == ["[]", "[]"]


def test_a_database_from_before_adapters_has_none_on_record(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before="m004_adapters")
        connection.execute("INSERT INTO sessions (id, title, created, updated) VALUES ('s', 'Animals', 1, 1)")
        connection.execute(
            "INSERT INTO messages (id, session_id, role, created, content) VALUES ('m', 's', 'assistant', 1, 'a fox')"
        )
        connection.execute(
            "INSERT INTO generations (id, session_id, message_id, started, settings, prompt_ids) "
            "VALUES ('g', 's', 'm', 1, '{\"temperature\": 0.5}', '[1, 2]')"
        )
    connection.close()
    with Store(path) as store:
        row = store.generation("g")
        assert (row.adapter, row.adapter_sha256) == ("", "")
        assert (row.settings.temperature, row.settings.adapter_scale) == (0.5, 1.0)
        store.update_generation("g", adapter="/adapters/one", adapter_sha256="ab")
        assert store.generations(session_id="s")[0].adapter == "/adapters/one"
