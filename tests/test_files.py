"""Files appear whole or not at all."""

import json
import os
import stat

import pytest

from utils.files import replacing, write_text


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
