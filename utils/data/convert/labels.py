"""What every reader of another layout gives."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from utils.data.checks import thread_count
from utils.data.images import is_turned, list_images, read_size
from utils.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Labels:
    """Labelled images of any source.

    Attributes:
        images: the image files; their names differ.
        codes: file name -> class number -> run-length code, only of classes that the image shows.
        class_names: name of class k is ``class_names[k - 1]``; None when the source has no labels and nobody names them, numbers from 1
            when it has labels but no names.
        notes: what the user should know, a line each.
        labelled: False when the source has images only.
    """

    images: list[Path]
    codes: dict[str, dict[int, str]]
    class_names: tuple[str, ...] | None
    notes: list[str] = field(default_factory=list)
    labelled: bool = True


def by_stem(folder: Path) -> dict[str, Path]:
    """List the images of a folder by their names without suffix, which is how masks and labels refer to them.

    Raises:
        InputError: no image, or two images that differ only in the suffix.
    """
    found: dict[str, Path] = {}
    for path in list_images(folder):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise InputError(f"{path}: {other.name} has the same name but for the suffix; rename one")
    if not found:
        raise InputError(f"{folder}: holds no images; -images and -masks expect folders of images")
    return found


def upright_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of an image to which labels belong.

    Raises:
        InputError: the file cannot be read, or viewers turn it by its EXIF data: whether its labels mean the picture that
            was seen or the pixels that are stored, nobody can tell.
    """
    if is_turned(path):
        raise InputError(
            f"{path}: viewers turn it (EXIF orientation), its labels may too; save it turned, without EXIF"
        )
    return read_size(path)


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], what: str) -> list[Result]:
    """Do something for each item in threads, with a progress bar on a terminal."""
    with ThreadPoolExecutor(thread_count(None)) as pool:
        try:
            return list(tqdm(pool.map(work, items), what, len(items), disable=None))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def some(names: Iterable[str], most: int = 3) -> str:
    """Name the first of many things: ``a, b, c and 7 more``."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
