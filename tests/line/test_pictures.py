"""Pictures that wait: bounded, and a disk that takes none stops nothing."""

import os

import pytest

from utils.line.pictures import Waiting


def test_picture_is_kept_and_let_go(tmp_path):
    waiting = Waiting(tmp_path)
    waiting.put("ab", b"1")
    assert Waiting(tmp_path).get("ab") == b"1"
    waiting.remove("ab")
    waiting.remove("ab")
    assert waiting.get("ab") is None


def test_oldest_go_when_there_are_too_many(tmp_path):
    waiting = Waiting(tmp_path, most=1000)
    for number in range(20):
        waiting.put(f"{number:02x}", b"x" * 100)
        os.utime(tmp_path / f"{number:02x}.jpg", (number, number))
    left = {path.stem for path in tmp_path.glob("*.jpg")}
    assert sum(path.stat().st_size for path in tmp_path.glob("*.jpg")) <= 1000
    assert "13" in left
    assert "00" not in left


def test_disk_that_takes_none_is_counted(tmp_path, monkeypatch):
    waiting = Waiting(tmp_path)

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("utils.line.pictures.replacing", full)
    waiting.put("ab", b"1")
    assert waiting.failed == 1


def test_name_that_leads_elsewhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match="etc"):
        Waiting(tmp_path).put("../etc", b"")


def test_pictures_that_are_too_many_are_counted(tmp_path):
    waiting = Waiting(tmp_path, most=1000)
    for number in range(4):
        waiting.put(f"{number:032x}", b"x" * 400)
    assert waiting.failed == 4 - len(list(tmp_path.glob("*.jpg")))
    assert waiting.failed
