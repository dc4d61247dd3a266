"""Write files so that a reader never sees half of one."""

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from utils.errors import InputError

# What ``_part`` names, and what earlier versions named.
_PART = re.compile(r"\..*\.(?:(?P<machine>[0-9a-f]{6})-(?P<process>[0-9a-f]+)-[0-9a-f]{6}|[0-9a-f]{8})\.part(\.[^.]*)?")
# Seconds after which nobody writes to a file of a process that cannot be asked, as on another machine.
_ABANDONED = 86_400.0
# Folders that a process remembers to have looked into. A server that keeps requests has a new one for each of them.
MOST_SWEPT = 4096


@contextlib.contextmanager
def replacing(path: Path, once: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` when the block succeeds.

    When the block raises, the temporary file is removed and ``path`` stays as it was. The temporary
    name keeps the suffix of ``path``, since libraries such as OpenCV choose the format by it.

    Args:
        path: the final name; its folder is made if missing.
        once: of several that write ``path`` the first one stays. Disks without hard links keep the last one.

    Yields:
        The temporary path to write to.

    Raises:
        FileExistsError: ``once``, and ``path`` is there.
        OSError: the disk is full, the folder is protected or the like; its ``filename`` is ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent.absolute())
    temporary = _part(path)
    try:
        yield temporary
        with open(temporary, "rb+") as written:  # Windows syncs only what is open for writing
            os.fsync(written.fileno())
        (_name_once if once else os.replace)(temporary, path)
    except OSError as error:
        # write() reports a full disk without a name, and the temporary name would tell the user nothing.
        if error.filename is None or str(error.filename) == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _name_once(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # exFAT and some network disks have no links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.replace(temporary, path)


@contextlib.contextmanager
def staged(out: Path, last: str = "") -> Iterator[Path]:
    """Yield a hidden folder in ``out`` whose files move to ``out`` when the block succeeds: all of them or none.

    Args:
        out: folder.
        last: file that tells readers that the others are whole, so it goes before they move and comes when all are there.

    Raises:
        OSError: as ``replacing``; its ``filename`` is in ``out``.
    """
    _sweep(out.absolute())
    place = _part(out / "all")
    place.mkdir()
    try:
        yield place
        if last:
            (out / last).unlink(missing_ok=True)
        for path in sorted(place.iterdir(), key=lambda path: (path.name == last, path.name)):
            os.replace(path, out / path.name)
    except OSError as error:
        if error.filename is not None and place in Path(str(error.filename)).parents:
            error.filename, error.filename2 = str(out / Path(str(error.filename)).name), None
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder that becomes ``folder`` when the block succeeds, and disappears when it raises.

    Args:
        folder: does not exist, or is empty.
    """
    folder = folder.resolve()  # a link to an empty folder stays one
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    part = _part(folder)
    part.mkdir()
    try:
        yield part
        if folder.is_dir():
            folder.rmdir()  # Windows renames onto nothing only
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Yield a hidden folder on the disk of ``beside``, in its parent or the nearest one that exists; it goes afterwards."""
    home = beside.absolute().parent
    while not home.is_dir():
        home = home.parent
    _sweep(home)
    part = _part(home / beside.name)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Hold a folder against other programs that ask the same; yields False where one of them holds it.

    Nothing is written, and a kill leaves nothing locked. Where the system or the disk has no such locks, nobody is refused.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # some network disks
            yield True
            return
        try:
            yield True
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    """Close in a process that was forked what its parent holds: else it would hold it after the parent was killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


_held: set[int] = set()  # descriptors of the folders that this process holds
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _part(path: Path) -> Path:
    """Return a name beside ``path`` to write to, which tells who does. A name may have 255 bytes, so a long one is cut."""
    mine = f"{_machine()}-{os.getpid():x}-{uuid.uuid4().hex[:6]}"
    return path.with_name(f".{path.stem[:40]}.{mine}.part{path.suffix}")


@functools.cache
def _machine() -> str:
    """Return six hex digits of this machine since it was started, and of this container: where numbers of processes hold."""
    words = [platform.node()]
    for place in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            words.append(str(Path(place).readlink()) if place.endswith("pid") else Path(place).read_text("ascii"))
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:6]


@functools.lru_cache(MOST_SWEPT)
def _sweep(folder: Path) -> None:
    """Remove what killed programs have left half-written in a folder; each process looks once, and seldom again."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [entry for entry in entries if _PART.fullmatch(entry.name)]
        for entry in found:
            with contextlib.suppress(OSError):
                if not _is_abandoned(entry):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink()


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    match = _PART.fullmatch(entry.name)
    if match is None or (match["machine"] is None and entry.is_dir(follow_symlinks=False)):
        return False
    if match["machine"] == _machine():
        return not _runs(int(match["process"], 16))
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED


def _runs(process: int) -> bool:
    if os.name == "nt":  # there os.kill ends a process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` in one step.

    What UTF-8 cannot hold, bytes of a path in another encoding, becomes its code, ``\\udcff``, as JSON writes it.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def make_folder(out: Path, flag: str = "-out") -> Path:
    """Make the folder that a flag names for results; raises ``InputError`` when that is not possible."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{flag} {out}: cannot make this folder ({error.strerror}); name another with {flag}"
        ) from None
    if not os.access(out, os.W_OK):
        raise InputError(f"{flag} {out}: no permission to write there; name another folder with {flag}")
    return out


def link_or_copy(source: Path, target: Path) -> None:
    """Take a second name for the file, which costs no disk; copy where that is not possible."""
    try:
        os.link(source.resolve(), target)  # a second name of a relative link would point nowhere
    except OSError:
        shutil.copyfile(source, target)


def read_at(descriptor: int, start: int, size: int) -> bytes:
    """Read bytes of an open file, as many as there are, without moving its place where the system can do that."""
    if not hasattr(os, "pread"):  # Windows; each loading process has files of its own
        os.lseek(descriptor, start, os.SEEK_SET)
        return os.read(descriptor, size)
    found = os.pread(descriptor, size, start)
    while len(found) < size and (more := os.pread(descriptor, size - len(found), start + len(found))):
        found += more
    return found
