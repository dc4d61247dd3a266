"""``folder://PATH``: a folder into which something puts image files; each is taken once, when it is whole.

A file is whole when it ends as its format does, or when it has stopped growing and decodes. One that stays half is told as a
frame without verdict, and one that was deleted before it was read. What was taken is remembered by name, size and time of the
last change, in the spool's database.
"""

import io
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from utils.data.listing import is_image_name, walk_images
from utils.errors import InputError
from utils.line.address import Address
from utils.line.event import event_id
from utils.line.extras import extra
from utils.line.frame import Frame
from utils.line.sources.positions import Positions
from utils.line.sources.source import SHARED, SourceError, SourceOptions, Take, labels_of

SETTLE = 0.5  # seconds without a change after which a file that does not end as its format does is decoded to see
HALF = 10.0  # seconds without a change after which such a file is given up
RESCAN = 60.0  # seconds between looks at the whole folder: a system that is short of memory forgets to tell of files
STEP, DEBOUNCE = 5, 20  # milliseconds; the library's own are made for editors, and cost 0.7 to 1.6 s
POLL = 200  # milliseconds between looks at a network disk
# Disks of other machines, which tell nothing of what others do there.
NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "afs", "ceph", "glusterfs")
)

log = logging.getLogger("steel.line")
_ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}


@dataclass
class _Growing:
    """A file that is not yet known to be whole."""

    stamp: tuple[int, int] = (-1, -1)  # size, time of the last change
    since: float = field(default_factory=time.monotonic)  # of this stamp
    tried: tuple[int, int] | None = None  # stamp at which it was decoded in vain
    inode: int = 0  # equal after it was renamed

    def notice(self, stamp: tuple[int, int], inode: int) -> None:
        """Note how it is now."""
        self.inode = inode
        if self.stamp != stamp:
            self.stamp, self.since = stamp, time.monotonic()


class FolderSource:
    """Takes files of a folder and of those within."""

    ends = False

    def __init__(self, address: Address, options: SourceOptions) -> None:
        address.only("poll", "half_s", *SHARED)
        self.folder = address.folder
        if not self.folder.is_dir():
            raise address.error("no such folder; make it, or correct the path")
        self.name = f"folder://{self.folder.resolve()}"
        self._watch = extra(address, "watchfiles")
        self._poll = address.query.get("poll", "") in ("1", "true", "yes") or on_network_disk(self.folder)
        self._half = address.number("half_s", HALF, SETTLE, 3600)
        self._options = options
        self.positions = Positions(address, self.folder)
        self._camera, self._side = labels_of(address)
        self._growing: dict[str, _Growing] = {}
        self._taken: dict[str, tuple[int, int]] = {}
        self.half_files = self.deleted = 0
        self.ready = False

    @property
    def lost(self) -> int:
        """Files that stayed half, or were deleted before they were read."""
        return self.half_files + self.deleted

    def run(self, take: Take, stop: threading.Event) -> None:
        """Take what is there, then what comes."""
        try:
            while not stop.is_set():
                try:
                    self._watched(take, stop)
                except RuntimeError as error:
                    if "decode path" not in str(error):
                        raise
                    # The library ends at a name that is not UTF-8; the look at the whole folder finds it.
                    log.debug("%s: %s", self.name, error)
                    continue
                if not stop.is_set():
                    log.warning("%s: another folder is there now, as after a mount; it is watched", self.name)
        except (OSError, RuntimeError) as error:  # the folder went away
            raise SourceError(f"{self.name}: {error}") from None
        finally:
            self.ready = False

    def _watched(self, take: Take, stop: threading.Event) -> None:
        """Take what comes, until it is told to stop or the folder has become another one: the system watches the old one."""
        folder = self._folder_now()
        changes = self._watch.watch(
            self.folder,
            step=STEP,
            debounce=DEBOUNCE,
            stop_event=stop,
            rust_timeout=50,
            yield_on_timeout=True,
            force_polling=self._poll,
            poll_delay_ms=POLL,
            watch_filter=None,
            raise_interrupt=False,
        )
        scanned = float("-inf")
        for change in changes:
            for name in (self._name_of(path) for _, path in change):
                if name is not None:
                    self._growing.setdefault(name, _Growing())
            # The system tells nothing of files that came into a new folder before it was watched.
            if time.monotonic() - scanned >= RESCAN or any(Path(path).is_dir() for _, path in change):
                scanned = time.monotonic()
                self._scan()
                self.ready = True
            if not self._take_whole(take, stop, folder):
                self._growing = {}  # of the other folder; the files are not deleted
                return
            if stop.is_set():
                return
        if not stop.is_set():
            raise SourceError(f"{self.name}: cannot be watched any more")

    def _folder_now(self) -> tuple[int, int]:
        """Return what tells the folder from another one that takes its place; raises ``SourceError`` where there is none."""
        try:
            found = self.folder.stat()
        except OSError:
            raise SourceError(f"{self.name}: no such folder any more") from None
        return found.st_dev, found.st_ino

    def _name_of(self, path: str) -> str | None:
        name = os.path.relpath(path, self.folder).replace(os.sep, "/")
        if not is_image_name(name.rpartition("/")[2]) or any(part.startswith(".") for part in name.split("/")):
            return None
        return name

    def _scan(self) -> None:
        there = set()
        try:
            for name in walk_images(self.folder, any_name=True):
                there.add(name)
                self._growing.setdefault(name, _Growing())
        except InputError as error:
            raise SourceError(str(error)) from None
        self._taken = {name: stamp for name, stamp in self._taken.items() if name in there}

    def _take_whole(self, take: Take, stop: threading.Event, folder: tuple[int, int]) -> bool:
        """Give the files that are whole, the oldest first; False where the folder has become another one."""
        ready, gone = [], {}
        for name in list(self._growing):
            found = _found(self.folder / name)
            if found is None:
                gone[name] = self._growing.pop(name)
                continue
            stamp = _stamp_of(found)
            if stamp == self._taken.get(name):  # an attribute changed
                del self._growing[name]
                continue
            self._growing[name].notice(stamp, found.st_ino)
            ready.append((stamp[1], name, stamp))
        if self._folder_now() != folder:
            return False
        inodes = {one.inode for one in self._growing.values()}
        for name, growing in gone.items():
            if growing.inode and growing.inode not in inodes:  # it was seen, and has no other name now
                self._tell_deleted(name, growing, take)
        for _, name, stamp in sorted(ready):
            if stop.is_set():
                break
            frame = self._frame(name, stamp)
            if frame is None:
                continue
            del self._growing[name]
            self._taken[name] = stamp
            if not self._knows(frame.key):
                self.half_files += frame.problem is not None
                take(frame)
        return True

    def _tell_deleted(self, name: str, growing: _Growing, take: Take) -> None:
        """Say that a file was there that nobody has read, unless it was known."""
        key = f"{name}|{growing.stamp[1]}|{growing.stamp[0]}"
        if self._knows(key):
            return
        self.deleted += 1
        # By another key: a file that comes back is inspected.
        problem = "the file was deleted before it was read"
        taken = growing.stamp[1] / 1e9
        take(Frame(f"{key}|gone", _shown(name), None, problem, taken, camera=self._camera, side=self._side))

    def _frame(self, name: str, stamp: tuple[int, int]) -> Frame | None:
        """Return the frame of a file; None where it is not whole yet."""
        growing, path = self._growing[name], self.folder / name
        now = time.monotonic()
        key = f"{name}|{stamp[1]}|{stamp[0]}"
        if self._knows(key):
            return Frame(key, name, None)
        problem, data = None, None
        if stamp[0] > self._options.most_bytes:
            if now - growing.since < SETTLE:
                return None
            problem = f"the file has more than {self._options.most_bytes / 1e6:.0f} MB"
        else:
            try:
                data = path.read_bytes()
            except OSError as error:
                if now - growing.since < self._half:
                    return None
                problem = f"the file cannot be read: {error.strerror}"
        if data is not None and not self._is_whole(name, data, stamp, growing):
            if now - growing.since < self._half:
                return None
            data, problem = None, "the file is only half there"
        return Frame(
            key,
            _shown(name),
            data,
            problem,
            taken=stamp[1] / 1e9,
            camera=self._camera,
            side=self._side,
            position_m=self.positions.of(name),
            patient=True,
        )

    def _knows(self, key: str) -> bool:
        return self._options.knows(event_id(self.name, key))

    def _is_whole(self, name: str, data: bytes, stamp: tuple[int, int], growing: _Growing) -> bool:
        if len(data) != stamp[0] or _stamp(self.folder / name) != stamp:  # it grows at this moment
            return False
        end = _ENDS.get(Path(name).suffix.lower())
        if end is not None and data.endswith(end):
            return True
        if time.monotonic() - growing.since < SETTLE or growing.tried == stamp:
            return False
        growing.tried = stamp
        try:
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > self._options.most_pixels:
                    return True  # whoever inspects it says so
                image.load()
            return True
        except Exception:  # whatever decoders raise for half files
            return False


def _found(path: Path) -> os.stat_result | None:
    """Return what the system says of a file; None where there is none."""
    try:
        return path.stat()
    except OSError:
        return None


def _stamp_of(found: os.stat_result) -> tuple[int, int]:
    """Return size and time of the last change of a file."""
    return found.st_size, found.st_mtime_ns


def _stamp(path: Path) -> tuple[int, int] | None:
    found = _found(path)
    return None if found is None else _stamp_of(found)


def _shown(name: str) -> str:
    """Return a file's name as tables hold it: bytes that are no UTF-8 become a sign of their own."""
    return os.fsencode(name).decode("utf-8", "replace")


def on_network_disk(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Check whether a folder lies on a disk of another machine, whose changes the system does not tell."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:  # no Linux
        return False
    place, kind = "", ""
    resolved = str(folder.resolve())
    for line in lines:
        words = line.split(" ")
        if len(words) < 3:
            continue
        point = words[1].replace("\\040", " ")
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(place):
            place, kind = point, words[2]
    return kind in NETWORK
