"""Archives made to harm end in one line, and leave nothing behind."""

import io
import struct
import tarfile
import zipfile

import pytest

from utils.data.convert import archives
from utils.data.convert.archives import unpacked
from utils.errors import InputError


def zipped(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as bundle:
        for name, content in files:
            bundle.writestr(name, content)
    return path


def tarred(path, members):
    with tarfile.open(path, "w:gz") as bundle:
        for member, content in members:
            bundle.addfile(member, io.BytesIO(content))
    return path


def member(name, kind=tarfile.REGTYPE, content=b"", **changes):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def link_in_zip(name, target):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info, target


def refused(archive, root, reason):
    with pytest.raises(InputError, match=reason) as caught, unpacked(archive, root / "home" / "data"):
        pass
    assert "\n" not in str(caught.value)
    assert not (root / "home").exists()
    assert [path.name for path in root.iterdir()] == [archive.name]  # nothing is left, nothing lies outside


def test_files_are_unpacked_and_go_away(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("x/a.txt", "hello"), ("__MACOSX/x", "y"), ("x/.DS_Store", "y")])
    with unpacked(archive, tmp_path / "data") as folder:
        assert folder.parent == tmp_path
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["a.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_folder_is_taken_as_it_is(tmp_path):
    with unpacked(tmp_path, tmp_path / "data") as folder:
        assert folder == tmp_path


@pytest.mark.parametrize(
    "name", ["../a.txt", "/tmp/a.txt", "x/../../a.txt", "..\\a.txt", "C:\\a.txt", "c:a.txt", "x/../a.txt"]
)
def test_paths_out_of_the_folder_are_refused(tmp_path, name):
    refused(zipped(tmp_path / "a.zip", [(name, "x")]), tmp_path, "leads out of the folder; it is not unpacked")
    (tmp_path / "a.zip").unlink()
    refused(tarred(tmp_path / "a.tgz", [member(name, content=b"x")]), tmp_path, "leads out of the folder")


def test_what_grows_beyond_measure_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 2**20)
    bomb = bytes(40 * 2**20)
    refused(zipped(tmp_path / "a.zip", [("a.png", bomb)]), tmp_path, r"a\.png grows to more than \d+ MB")
    (tmp_path / "a.zip").unlink()
    refused(tarred(tmp_path / "a.tgz", [member("a.png", content=bomb)]), tmp_path, r"a\.png grows to more than")


def test_a_size_that_is_a_lie_does_not_help(tmp_path, monkeypatch):
    """The directory of the archive says that few bytes become few."""
    monkeypatch.setattr(archives, "FREE_BYTES", 2**20)
    archive = zipped(tmp_path / "a.zip", [("a.png", bytes(40 * 2**20))])
    data = bytearray(archive.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, place + 24, 5)  # unpacked bytes
    archive.write_bytes(bytes(data))
    refused(archive, tmp_path, "grows to more than|damaged")


def test_a_full_disk_is_told_before_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "KEEP_FREE", 2**62)
    refused(
        zipped(tmp_path / "a.zip", [("a", "x")]), tmp_path, "a and what comes before it need more disk than is free"
    )


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    refused(zipped(tmp_path / "a.zip", [(str(k), "") for k in range(4)]), tmp_path, "has more than 3 files")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: zipped(path, [link_in_zip("l", "/etc")]), "l is a link"),
        (lambda path: zipped(path, [("a", "x"), ("a", "y")]), "a is in it twice"),
        (lambda path: zipped(path, [("a", "x"), ("a/b", "y")]), "a/b is in it twice, or once as a folder"),
        (lambda path: zipped(path, [("a" * 300, "x")]), "a{20,}' is longer than names of files may be"),
        (lambda path: zipped(path, [("a", "x")], zipfile.ZIP_LZMA), "packed by an unusual method"),
        (lambda path: tarred(path, [member("l", tarfile.SYMTYPE, linkname="/etc")]), "l is a link or a device"),
        (lambda path: tarred(path, [member("l", tarfile.LNKTYPE, linkname="l")]), "l is a link or a device"),
        (lambda path: tarred(path, [member("d", tarfile.CHRTYPE)]), "d is a link or a device"),
        (lambda path: tarred(path, [member("d", tarfile.FIFOTYPE)]), "d is a link or a device"),
        (lambda path: path.write_bytes(b"no archive") and path, "neither a zip nor a tar file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_other_mischief_is_refused(tmp_path, make, reason):
    refused(make(tmp_path / "a.bin"), tmp_path, reason)


def test_archives_cut_short_and_locked_ones(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("a.txt", "hello" * 100)])
    whole = archive.read_bytes()
    data = bytearray(whole)
    for head, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(head) + offset] |= 1  # encrypted
    archive.write_bytes(bytes(data))
    refused(archive, tmp_path, r"a\.txt is locked by a password")
    data = bytearray(whole)
    data[40:44] = b"\xff\xff\xff\xff"
    archive.write_bytes(bytes(data))
    refused(archive, tmp_path, "damaged; export it again")
    archive.unlink()
    tar = tarred(tmp_path / "a.tgz", [member("a", content=bytes(range(256)) * 40)])
    tar.write_bytes(tar.read_bytes()[:-60])
    refused(tar, tmp_path, "damaged; export it again")


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no such file"), unpacked(tmp_path / "none.zip", tmp_path / "data"):
        pass
