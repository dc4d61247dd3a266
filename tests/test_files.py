"""Files appear whole or not at all."""

import contextlib
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils import files
from utils.files import alone_in, new_folder, replacing, staged, temporary_folder, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "folder" / "scores.csv"
    with replacing(path) as temporary:
        temporary.write_text("1\n")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "1\n"
    assert names(path.parent) == ["scores.csv"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [None, "old"])
def test_failing_block_leaves_what_was_there(tmp_path, error, before):
    path = tmp_path / "scores.csv"
    if before:
        path.write_text(before)
    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012 - the write belongs to the block
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == (["scores.csv"] if before else [])
    assert not before or path.read_text() == before


@pytest.mark.parametrize("name", ["mask.png", "best.pth", "LICENSE", "a" * 250 + ".png", "ö" * 120 + ".png"])
def test_temporary_name_keeps_the_suffix_and_fits(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        assert temporary.suffix == (tmp_path / name).suffix or temporary.suffix == ".part"
        temporary.write_bytes(b"x")
    assert names(tmp_path) == [name]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "scores.csv"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
    assert names(tmp_path) == ["scores.csv"]


@pytest.mark.parametrize(
    "block",
    [
        lambda temporary: None,
        lambda temporary: os.write(os.open(temporary, os.O_CREAT | os.O_RDONLY), b"x"),
        lambda temporary: temporary.mkdir() or temporary.rmdir(),
    ],
    ids=["wrote nothing", "error without a name", "removed it"],
)
def test_error_names_the_file_that_the_user_knows(tmp_path, block):
    with pytest.raises(OSError) as error, replacing(tmp_path / "scores.csv") as temporary:  # noqa: PT011 - of any kind
        block(temporary)
    assert error.value.filename == str(tmp_path / "scores.csv")
    assert names(tmp_path) == []


def test_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, replacing(tmp_path / "scores.csv"):
        (tmp_path / "other.csv").read_text()
    assert error.value.filename == str(tmp_path / "other.csv")


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "replaced", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "replaced")}
    assert len(modes) == 1


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "classes.txt", "Lötstelle\npit\n")
    assert (tmp_path / "classes.txt").read_bytes() == "Lötstelle\npit\n".encode()


def test_a_path_that_is_not_utf8_is_read_back_from_json(tmp_path):
    path = os.fsdecode(b"/data/Br\xfccke")
    write_text(tmp_path / "metrics.json", json.dumps({"dataset": path, "place": "Lötstelle"}, ensure_ascii=False))
    assert json.loads((tmp_path / "metrics.json").read_bytes()) == {"dataset": path, "place": "Lötstelle"}


def test_what_is_staged_appears_together(tmp_path):
    (tmp_path / "scores.csv").write_text("old")
    with staged(tmp_path) as place:
        (place / "scores.csv").write_text("new")
        write_text(place / "report.html", "new")
        assert (tmp_path / "scores.csv").read_text() == "old"
    assert names(tmp_path) == ["report.html", "scores.csv"]
    assert (tmp_path / "scores.csv").read_text() == "new"


def test_the_file_that_tells_readers_goes_first_and_comes_last(tmp_path, monkeypatch):
    for name in ("a.csv", "summary.json"):
        (tmp_path / name).write_text("old")
    moved = []

    def move(source, target):
        assert (tmp_path / "summary.json").exists() == (len(moved) > 2)
        moved.append(Path(target).name)
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(os, "replace", move)
    with staged(tmp_path, "summary.json") as place:
        for name in ("z.csv", "summary.json", "a.csv"):
            (place / name).write_text("new")
        assert (tmp_path / "summary.json").read_text() == "old"
    assert moved == ["a.csv", "z.csv", "summary.json"]
    assert [(tmp_path / name).read_text() for name in names(tmp_path)] == ["new"] * 3


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_of_what_is_staged_nothing_appears_after_an_error(tmp_path, error):
    (tmp_path / "scores.csv").write_text("old")
    with pytest.raises(error), staged(tmp_path) as place:  # noqa: PT012 - the write belongs to the block
        (place / "scores.csv").write_text("new")
        raise error
    assert names(tmp_path) == ["scores.csv"]
    assert (tmp_path / "scores.csv").read_text() == "old"


def test_an_error_of_a_staged_file_names_the_one_that_the_user_knows(tmp_path, monkeypatch):
    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError) as error, staged(tmp_path) as place:  # noqa: PT011 - its name is checked below
        write_text(place / "report.html", "x")
    assert error.value.filename == str(tmp_path / "report.html")
    assert names(tmp_path) == []


def killed(folder: Path, name: str) -> None:
    """Let a program begin to write a file and be killed."""
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from utils.files import replacing, staged\n"
        f"with replacing(Path(sys.argv[2]) / {name!r}) as temporary, staged(Path(sys.argv[2])) as place:\n"
        "    temporary.write_text('half'); (place / 'x').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code, str(root), str(folder)]).returncode == -signal.SIGKILL


def test_what_a_killed_program_left_is_removed_by_the_next(tmp_path):
    killed(tmp_path, "last.pth")
    assert len(names(tmp_path)) == 2
    write_text(tmp_path / "last.pth", "whole")
    assert names(tmp_path) == ["last.pth"]


@pytest.mark.parametrize(
    ("name", "hours", "stays"),
    [
        (".last.{machine}-{me}-012345.part.pth", 100, True),  # of a process that runs
        (".last.{machine}-{gone}-012345.part.pth", 0, False),
        (".last.abcdef-1-012345.part.pth", 0, True),  # of another machine
        (".last.abcdef-1-012345.part.pth", 25, False),
        (".last.01234567.part.pth", 0, True),  # of an earlier version
        (".last.01234567.part.pth", 25, False),
        ("last.pth.part", 100, True),  # of a download, which goes on
        (".notes.part", 100, True),
        (".last.xyz.part.pth", 100, True),
    ],
)
def test_only_what_nobody_writes_to_any_more_is_removed(tmp_path, name, hours, stays):
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    path = tmp_path / name.format(machine=files._machine(), me=f"{os.getpid():x}", gone=f"{gone.pid:x}")
    path.write_text("half")
    os.utime(path, (time.time() - hours * 3600,) * 2)
    write_text(tmp_path / "last.pth", "whole")
    assert path.exists() == stays


def test_one_program_holds_a_folder(tmp_path):
    with alone_in(tmp_path) as first, alone_in(tmp_path) as second, alone_in(tmp_path.parent) as other:
        assert (first, second, other) == (True, False, True)
    with alone_in(tmp_path) as again:
        assert again
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_killed_program_holds_nothing_though_a_process_that_it_forked_lives_on(tmp_path):
    program = """
import os, sys, time
from pathlib import Path
from utils.files import alone_in
with alone_in(Path(sys.argv[1])) as alone:
    if not os.fork():  # the child says so: it may get its first turn long after its parent
        print(alone, os.getpid(), flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    alone, child = parent.stdout.readline().split()
    try:
        assert alone == "True"
        with alone_in(tmp_path) as second:
            assert not second
        parent.kill()
        parent.wait()
        os.kill(int(child), 0)  # it lives
        with alone_in(tmp_path) as again:
            assert again
    finally:
        parent.kill()
        os.kill(int(child), signal.SIGKILL)
        parent.stdout.close()


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    def stop():
        with new_folder(tmp_path / "data") as part:
            (part / "a.png").touch()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir()
    with new_folder(tmp_path / "data") as part:
        (part / "a.png").touch()
        assert not (tmp_path / "data" / "a.png").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "a.png"]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_temporary_folder_lies_beside_and_goes_away(tmp_path, error):
    (tmp_path / "home").mkdir()
    beside = tmp_path / "home" / "not" / "there" / "data"  # the nearest folder that exists
    with contextlib.suppress(ValueError, KeyboardInterrupt), temporary_folder(beside) as folder:
        assert folder.parent == tmp_path / "home"
        (folder / "a").mkdir()
        (folder / "a" / "b.txt").write_text("x")
        if error:
            raise error
    assert names(tmp_path / "home") == []


def test_folders_that_were_looked_into_take_no_memory_without_end(tmp_path, monkeypatch):
    """As those of a server that makes one for each request that it keeps."""
    files._sweep.cache_clear()
    for number in range(files.MOST_SWEPT + 10):
        files._sweep(tmp_path / str(number))
    assert files._sweep.cache_info().currsize <= files.MOST_SWEPT
