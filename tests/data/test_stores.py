"""Stores: a disk, a store in memory and S3 answer the same calls alike."""

import uuid
from pathlib import Path

import pytest

from config import Url
from utils.data.stores import Store, StoreError
from utils.errors import InputError


@pytest.fixture(params=["disk", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(tmp_path / "a::b")
    if request.param == "memory":
        return Store(Url(f"memory://{uuid.uuid4().hex}/within"))
    return Store(Url(f"{request.getfixturevalue('bucket')}/within"))


def test_files_are_written_whole_read_in_ranges_and_listed(store, tmp_path):
    assert store.create("b.txt", b"0123456789")
    assert store.read("b.txt") == b"0123456789"
    assert store.read("b.txt", 2, 5) == b"234"
    store.replace("b.txt", b"new")
    (tmp_path / "mine").write_bytes(b"mine")
    store.put(tmp_path / "mine", "deep/c.txt")
    with store.open("deep/c.txt") as file:
        assert file.read() == b"mine"
    assert store.read("b.txt") == b"new"
    assert "b.txt" in set(store.names()) <= {"b.txt", "deep"}
    assert (store.is_file("b.txt"), store.is_file("c.txt"), store.exists("deep")) == (True, False, True)
    store.fetch(store.at("b.txt"), tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"new"
    for missing in (lambda: store.read("no"), lambda: store.fetch(store.at("no"), tmp_path / "no")):
        with pytest.raises(FileNotFoundError):
            missing()


def test_of_two_that_write_one_name_the_first_stays(store):
    assert store.create("part", b"one")
    assert not store.create("part", b"two")
    assert store.read("part") == b"one"


def test_a_disk_without_links_keeps_the_first_too(tmp_path, monkeypatch):
    def none(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", none)
    store = Store(tmp_path)
    assert [store.create("part", content) for content in (b"one", b"two")] == [True, False]
    assert (store.read("part"), list(store.names())) == (b"one", ["part"])


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        Store(tmp_path / "file").create("part", b"one")


def test_a_full_disk_of_this_machine_is_not_the_stores_fault(tmp_path, monkeypatch):
    pytest.importorskip("fsspec")
    store = Store(Url("memory://mill/full"))
    store.replace("a.png", b"image")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.fs, "get_file", full)
    with pytest.raises(InputError, match=r"No space left on device, for files of memory.*TMPDIR") as error:
        store.fetch(store.at("a.png"), tmp_path / "a.png")
    assert not isinstance(error.value, StoreError)


def test_all_files_within_are_listed_page_by_page(store, monkeypatch):
    if store.local is not None:
        pytest.skip("disks are listed by utils.data.listing")
    monkeypatch.setattr("utils.data.stores.KEYS", 10)
    names = {f"{number % 3}/{number:04d}.png" for number in range(1, 26)}
    for name in names:
        store.replace(name, b"x")
    assert sorted(store.walk()) == sorted(names)
    assert list(Store(Url(f"{store.place}/nothing")).walk()) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nothing://a/b", "-out nothing://a/b: Protocol not known: nothing; name a folder or a URL that fsspec knows"),
        ("gs://a/b", "-out gs://a/b: the package gcsfs is not installed; run .venv/bin/uv pip install gcsfs"),
    ],
)
def test_a_store_that_nobody_knows_or_that_lacks_its_package_is_one_line(url, message):
    pytest.importorskip("fsspec")
    with pytest.raises(InputError) as error:
        Store(Url(url), "-out")
    assert str(error.value) == message


def test_a_store_that_does_not_answer_is_one_line(monkeypatch):
    def fail(*words: object, **more: object) -> None:
        raise RuntimeError("no\nroute")

    store = Store(Url("memory://a"), "-out")
    monkeypatch.setattr(store.fs, "cat_file", fail)
    with pytest.raises(StoreError, match=r"^-out memory://a/x: no route; check the address, the network and the"):
        store.read("x")


def test_a_store_that_lets_nobody_in_is_one_line_that_says_where(monkeypatch, tmp_path):
    def refuse(*words: object, **more: object) -> None:
        raise PermissionError("Forbidden")

    store = Store(Url("memory://a"), "-out")
    for name in ("cat_file", "pipe_file", "isfile", "ls", "get_file"):
        monkeypatch.setattr(store.fs, name, refuse)
    asked = (lambda: store.read("x"), lambda: store.create("x", b""), lambda: store.is_file("x"))
    for ask in asked:
        with pytest.raises(InputError, match=r"^-out memory://a/x: Forbidden; check the credentials"):
            ask()
    with pytest.raises(InputError, match=r"^-out memory://a: Forbidden"):
        list(store.names())
    with pytest.raises(PermissionError):  # an image that may not be read is a row of its own
        store.fetch("/a/x", tmp_path / "x")


def test_a_bucket_that_is_not_there_is_named(monkeypatch, s3_server, tmp_path):
    store = Store(Url("s3://nobody-has-this/within"), "-images")
    (tmp_path / "x").write_bytes(b"x")
    asked = (lambda: list(store.walk()), lambda: store.replace("x", b""), lambda: store.put(tmp_path / "x", "x"))
    for ask in (*asked, lambda: store.create("x", b"")):
        with pytest.raises(InputError, match=r"^-images s3://nobody-has-this/within.*: .*bucket.*; check the name$"):
            ask()
