"""Write files so that a reader never sees half of one."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from utils.errors import InputError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` when the block succeeds.

    When the block raises, the temporary file is removed and ``path`` stays as it was. The temporary
    name keeps the suffix of ``path``, since libraries such as OpenCV choose the format by it.

    Args:
        path: the final name; its folder is made if missing.

    Yields:
        The temporary path to write to.

    Raises:
        OSError: the disk is full, the folder is protected or the like; its ``filename`` is ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name may have 255 bytes, so a long one is cut.
    temporary = path.with_name(f".{path.stem[:40]}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:  # Windows syncs only what is open for writing
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # write() reports a full disk without a name, and the temporary name would tell the user nothing.
        if error.filename is None or str(error.filename) == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def all_or_nothing(out: Path) -> Iterator[Path]:
    """Yield a folder for files that belong together; they take their places in ``out`` when the block succeeds.

    When the block raises, a full disk say, ``out`` keeps the files that it had.

    Args:
        out: their folder, which exists.

    Yields:
        An empty folder on the same disk, for files without folders.
    """
    folder = out / f".{uuid.uuid4().hex[:8]}.part"
    folder.mkdir()
    try:
        yield folder
        for path in sorted(folder.iterdir()):
            os.replace(path, out / path.name)
    except OSError as error:
        if error.filename is not None and folder in Path(error.filename).parents:  # a name that would tell nothing
            error.filename, error.filename2 = str(out / Path(error.filename).name), None
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
