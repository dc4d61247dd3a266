"""folder://: whole files once, half files told, nothing twice over a restart."""

import os
import sys
import threading
import time

import pytest

pytest.importorskip("watchfiles")

from tests.line.conftest import eventually, jpeg
from utils.errors import InputError
from utils.line.address import Address
from utils.line.event import event_id
from utils.line.sources.folder import FolderSource, on_network_disk
from utils.line.sources.source import SourceError, SourceOptions


class Watching:
    """A folder source that runs in a thread."""

    def __init__(self, folder, query="", known=()):
        self.known, self.got = set(known), []
        options = SourceOptions(knows=lambda one: one in self.known, most_bytes=100_000)
        self.source = FolderSource(Address.parse(f"folder://{folder}{query}", "-source"), options)
        self.stop = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.source.run(self._take, self.stop)
        except SourceError as error:
            self.error = error

    def _take(self, frame):
        self.got.append(frame)
        self.known.add(event_id(self.source.name, frame.key))

    @property
    def names(self):
        return [frame.name for frame in self.got]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


def drop(folder, name, data):
    part = folder / f".{name}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(data)
    part.rename(folder / name)


@pytest.mark.parametrize("query", ["", "?poll=1"])
def test_files_that_are_there_and_that_come_are_taken_once(tmp_path, query):
    drop(tmp_path, "b.jpg", jpeg(seed=1))
    time.sleep(0.01)
    drop(tmp_path, "a.jpg", jpeg(seed=2))
    (tmp_path / "notes.txt").write_text("no image")
    with Watching(tmp_path, query) as watching:
        assert eventually(lambda: len(watching.got) == 2)
        drop(tmp_path, "c.jpg", jpeg(seed=3))
        drop(tmp_path / "side", "d.png", b"x" * 9 + b"IEND\xaeB`\x82")
        assert eventually(lambda: len(watching.got) == 4)
        (tmp_path / "c.jpg").chmod(0o600)  # a change of an attribute alone
        time.sleep(0.1)
    assert watching.names[:2] == ["b.jpg", "a.jpg"]  # the oldest first
    assert sorted(watching.names) == ["a.jpg", "b.jpg", "c.jpg", "side/d.png"]
    assert watching.got[1].data == jpeg(seed=2)
    assert all(frame.patient for frame in watching.got)
    with Watching(tmp_path, query, watching.known) as again:
        drop(tmp_path, "e.jpg", jpeg())
        assert eventually(lambda: again.got)
    assert again.names == ["e.jpg"]


def test_name_that_comes_again_with_other_pixels_is_another_frame(tmp_path):
    with Watching(tmp_path) as watching:
        for seed in range(3):
            drop(tmp_path, "now.jpg", jpeg(seed=seed))
            assert eventually(lambda seed=seed: len(watching.got) == seed + 1)
    assert len({frame.key for frame in watching.got}) == 3


def test_file_that_grows_is_taken_when_it_is_whole(tmp_path):
    data = jpeg()
    with Watching(tmp_path) as watching, open(tmp_path / "slow.jpg", "wb", buffering=0) as file:
        for begin in range(0, len(data), 300):
            file.write(data[begin : begin + 300])
            time.sleep(0.02)
        assert eventually(lambda: watching.got)
    assert watching.got[0].data == data


def test_half_file_has_no_verdict_and_is_counted(tmp_path):
    (tmp_path / "half.jpg").write_bytes(jpeg()[:400])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "large.jpg").write_bytes(b"x" * 100_001)
    with Watching(tmp_path, "?half_s=0.6") as watching:
        assert eventually(lambda: len(watching.got) == 3)
    assert {frame.name: frame.problem for frame in watching.got} == {
        "half.jpg": "the file is only half there",
        "empty.png": "the file is only half there",
        "large.jpg": "the file has more than 0 MB",
    }
    assert watching.source.lost == 3


def test_jpeg_with_something_behind_its_end_is_taken_when_it_has_settled(tmp_path):
    (tmp_path / "padded.jpg").write_bytes(jpeg() + b"\0" * 16)
    with Watching(tmp_path) as watching:
        assert eventually(lambda: watching.got)
    assert watching.got[0].problem is None


def test_folder_that_goes_away_is_told(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    with Watching(folder) as watching:
        time.sleep(0.1)
        folder.rmdir()
        assert eventually(lambda: watching.error is not None)
    assert "no such folder any more" in str(watching.error)


def test_positions_come_from_the_table_beside_the_images(tmp_path):
    (tmp_path / "positions.csv").write_text("ImageId,start_m\na.jpg,1.5\n")
    drop(tmp_path, "a.jpg", jpeg())
    with Watching(tmp_path) as watching:
        assert eventually(lambda: watching.got)
    assert watching.got[0].position_m == 1.5


def test_missing_folder_is_refused():
    with pytest.raises(InputError, match="no such folder"):
        FolderSource(Address.parse("folder://nowhere", "-source"), SourceOptions())


def test_disks_of_other_machines_are_known(tmp_path):
    mounts = tmp_path / "mounts"
    root = tmp_path.resolve()
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {root}/far nfs4 rw 0 0\n/dev/b {root}/far/near ext4 rw 0 0\n")
    for name in ("far/near", "here"):
        (tmp_path / name).mkdir(parents=True)
    assert on_network_disk(tmp_path / "far", mounts)
    assert not on_network_disk(tmp_path / "far/near", mounts)
    assert not on_network_disk(tmp_path / "here", mounts)
    assert not on_network_disk(tmp_path / "here", tmp_path / "none")


def test_file_that_was_deleted_before_it_was_read_is_told(tmp_path):
    (tmp_path / "half.jpg").write_bytes(jpeg()[:400])
    with Watching(tmp_path) as watching:
        assert eventually(lambda: watching.source._growing.get("half.jpg") is not None)
        assert eventually(lambda: watching.source._growing["half.jpg"].inode)
        (tmp_path / "half.jpg").unlink()
        assert eventually(lambda: watching.got)
        drop(tmp_path, "half.jpg", jpeg())  # another one of this name
        assert eventually(lambda: len(watching.got) == 2)
        (tmp_path / "half.jpg").unlink()  # as a plant does with what was inspected
        time.sleep(0.2)
    assert [frame.problem for frame in watching.got] == ["the file was deleted before it was read", None]
    assert watching.source.lost == 1


def test_file_that_is_renamed_while_it_grows_is_one_frame(tmp_path):
    data = jpeg()
    (tmp_path / "part.jpg").write_bytes(data[:400])
    with Watching(tmp_path) as watching:
        assert eventually(lambda: (found := watching.source._growing.get("part.jpg")) and found.inode)
        (tmp_path / "part.jpg").rename(tmp_path / "whole.jpg")
        with open(tmp_path / "whole.jpg", "ab") as file:
            file.write(data[400:])
        assert eventually(lambda: watching.got)
        time.sleep(0.2)
    assert [(frame.name, frame.problem) for frame in watching.got] == [("whole.jpg", None)]


def test_folder_that_another_one_replaces_is_watched_anew(tmp_path, caplog):
    """As when a disk is mounted or unmounted: the system tells of the old folder for ever."""
    folder, other = tmp_path / "inbox", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (folder / "half.jpg").write_bytes(jpeg()[:400])
    with Watching(folder) as watching:
        assert eventually(lambda: (found := watching.source._growing.get("half.jpg")) and found.inode)
        folder.rename(tmp_path / "old")
        other.rename(folder)
        assert eventually(lambda: "another folder is there now" in caplog.text or watching.error)
        drop(folder, "a.jpg", jpeg())
        assert eventually(lambda: watching.got or watching.error)
    if watching.error is None:  # else it looked between the two renames; the service opens it again
        assert [(frame.name, frame.problem) for frame in watching.got] == [("a.jpg", None)]
    assert watching.source.lost == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_name_that_is_not_utf8_is_a_frame_like_others(tmp_path):
    name = os.fsdecode(b"sp\xfcle.jpg")
    with Watching(tmp_path) as watching:
        drop(tmp_path, "a.jpg", jpeg())
        assert eventually(lambda: watching.got)
        drop(tmp_path, name, jpeg(seed=2))
        assert eventually(lambda: len(watching.got) == 2)
    assert (watching.got[1].name, watching.got[1].problem) == ("sp\ufffdle.jpg", None)
    assert watching.error is None
