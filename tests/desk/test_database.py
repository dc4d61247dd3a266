"""The desk's file: a full disk costs the action in hand alone, and what is no file of the desk is said in one line."""

import sqlite3

import pytest

from utils.desk.database import FILE, VERSION, CannotKeep, Database
from utils.desk.review import Base
from utils.desk.reviews import Reviews
from utils.errors import InputError


def write(database, safe, size):
    with database.writing(safe=safe) as connection:
        connection.execute(
            "INSERT INTO reviews (sha256, state, who, time, base) VALUES (hex(randomblob(8)), 'open', 'Ann', 1, ?)",
            ("x" * size,),
        )


@pytest.mark.parametrize("safe", [False, True])
def test_full_disk_loses_one_write_and_no_more(tmp_path, safe):
    database = Database(tmp_path)
    connection = database._safe if safe else database._plain
    write(database, safe, 10)
    connection.execute(f"PRAGMA max_page_count={database.number('PRAGMA page_count')}")
    for _ in range(2):
        with pytest.raises(CannotKeep, match="full"):
            write(database, safe, 10**6)
    connection.execute("PRAGMA max_page_count=100000")
    write(database, safe, 10**6)
    assert database.number("SELECT COUNT(*) FROM reviews") == 2
    database.close()


def test_an_error_in_the_block_is_handed_on(tmp_path):
    database = Database(tmp_path)
    for error in (KeyError, InputError):
        with pytest.raises(error), database.writing():
            raise error("x")
    with pytest.raises(sqlite3.OperationalError), database.writing() as connection:
        connection.execute("SELECT nothing FROM nowhere")
    write(database, True, 10)
    database.close()


def made(path, *statements):
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["CREATE TABLE visits (id)"], "something else"),
        (["CREATE TABLE visits (id)", f"PRAGMA user_version={VERSION + 1}"], "update the program"),
        (["CREATE TABLE visits (id)", "PRAGMA user_version=-3"], "something else"),
    ],
)
def test_files_of_other_programs_and_versions_are_refused(tmp_path, statements, reason):
    made(tmp_path / FILE, *statements)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(InputError, match=reason):
        Database(tmp_path)
    assert "visits" in before.decode("latin-1")


@pytest.mark.parametrize("place", [0, 4096 * 2, 4096 * 5])
def test_damage_is_told_at_the_start(tmp_path, place):
    database = Database(tmp_path)
    for _ in range(20):
        write(database, True, 3000)
    database.close()
    data = bytearray((tmp_path / FILE).read_bytes())
    data[place : place + 2000] = b"\xa5" * 2000
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(InputError, match=r"desk.sqlite.*(damaged|no database)") as error:
        Database(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_in_its_place_is_refused(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(InputError, match="unable to open"):
        Database(tmp_path)


FIRST_VERSION = """
CREATE TABLE reviews (
    sha256 TEXT PRIMARY KEY, state TEXT NOT NULL, who TEXT NOT NULL, time REAL NOT NULL, base TEXT NOT NULL
);
"""


def test_files_of_the_first_version_get_the_verdicts_of_their_reviews(tmp_path):
    base = Base(2, 2, ("pits",), 1, "w.pth", "s", ((1, "1 2", 0.9),))
    keep = "INSERT INTO reviews VALUES ('a', 'open', 'Ann', 1, '{0}'), ('b', 'clean', 'Ann', 2, '{0}')"
    act = """INSERT INTO actions VALUES (1, 'x', 'b', NULL, 'Ann', 2, '{"kind": "clean"}')"""
    Database(tmp_path).close()
    made(
        tmp_path / FILE, "DROP TABLE reviews", FIRST_VERSION, keep.format(base.to_json()), act, "PRAGMA user_version=1"
    )
    beside = Database(tmp_path, read_only=True)
    assert Reviews(beside).find("b").verdict == "clean"
    beside.close()
    for _ in range(2):
        database = Database(tmp_path)
        Reviews(database).complete()
        rows = database.rows("SELECT sha256, state, verdict, found, who, time, base FROM reviews ORDER BY 1")
        assert [tuple(row)[:4] for row in rows] == [
            ("a", "open", "defective", '["pits"]'),
            ("b", "clean", "clean", "[]"),
        ]
        assert {row["base"] for row in rows} == {base.to_json()}
        database.close()
