"""What every reader of another layout gives."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from utils.data.checks import thread_count
from utils.data.images import is_turned, read_size
from utils.data.listing import image_names
from utils.errors import InputError

LARGEST = 500_000_000  # pixels of an image; masks of larger ones would take the memory of the machine

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Labels:
    """Labelled images of any source.

    Attributes:
        images: name -> image file; a name is the file's path relative to the folder of images, with forward slashes.
        codes: name -> class number -> run-length code, only of classes that the image shows.
        class_names: name of class k is ``class_names[k - 1]``; None when the source has no labels and nobody names them, numbers from 1
            when it has labels but no names.
        notes: what the user should know, a line each.
        labelled: False when the source has images only.
        ignored: name -> run-length code of the pixels that nobody has labelled, of images that have such.
        left_out: what ``-skip_bad`` left out.
        proposed_by: the network that the labels come from, which nobody has confirmed; "" where people drew them.
        scores: name -> how sure the network is of what it found there, 0..1.
        called: name of the folder that is written, for addresses in it; "": not known yet.
    """

    images: dict[str, Path]
    codes: dict[str, dict[int, str]]
    class_names: tuple[str, ...] | None
    notes: list[str] = field(default_factory=list)
    labelled: bool = True
    ignored: dict[str, str] = field(default_factory=dict)
    left_out: list["LeftOut"] = field(default_factory=list)
    proposed_by: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    called: str = ""


@dataclass(frozen=True)
class LeftOut:
    """An image, or a label of none, that ``-skip_bad`` left out.

    Attributes:
        image: its name; "" for a label that belongs to no image.
        problem: the line that would have ended the conversion without ``-skip_bad``.
    """

    image: str
    problem: str


class Skipping:
    """Decides what a malformed label means: the end, or with ``-skip_bad`` an image less.

    The whole image is left out: with some of its labels it would show defects as sound steel.

    Args:
        skip_bad: leave out, else raise.

    Attributes:
        left_out: what was left out so far, in order.
    """

    def __init__(self, skip_bad: bool) -> None:
        self.skip_bad = skip_bad
        self.left_out: list[LeftOut] = []

    @property
    def images(self) -> set[str]:
        """Names of the images that were left out."""
        return {entry.image for entry in self.left_out if entry.image}

    def leave_out(self, image: str, error: InputError) -> None:
        """Leave out an image, or a label of none (""); raise ``error`` without ``-skip_bad``."""
        if not self.skip_bad:
            raise error
        self.left_out.append(LeftOut(image, str(error)))

    def try_each(
        self, work: Callable[[Item], Result], items: Sequence[Item], name_of: Callable[[Item], str], what: str
    ) -> dict[Item, Result]:
        """Do something for each item in threads; of those where it raised ``InputError``, leave out the image."""

        def tried(item: Item) -> Result | InputError:
            try:
                return work(item)
            except InputError as error:
                if not self.skip_bad:
                    raise
                return error

        results = {}
        for item, result in zip(items, in_threads(tried, items, what), strict=True):
            if isinstance(result, InputError):
                self.leave_out(name_of(item), result)
            else:
                results[item] = result
        return results


def by_stem(folder: Path, apart: Sequence[Path] = ()) -> dict[str, str]:
    """List the images of a folder by their names without suffix, which is how masks and labels refer to them.

    Args:
        folder: of the images, which may have folders within.
        apart: folders that belong to something else, see ``image_names``.

    Returns:
        Name without its suffix -> name.

    Raises:
        InputError: no image, or two images that differ only in the suffix.
    """
    found: dict[str, str] = {}
    for name in image_names(folder, apart):
        other = found.setdefault(os.path.splitext(name)[0], name)  # noqa: PTH122 - 50,000 names
        if other != name:
            raise InputError(f"{folder / name}: {other} has the same name but for the suffix; rename one")
    if not found:
        raise InputError(f"{folder}: holds no images; -images and -masks expect folders of images")
    return found


def upright_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of an image to which labels belong.

    Raises:
        InputError: the file cannot be read, its header says that it is larger than any camera's image, or viewers turn
            it by its EXIF data: whether its labels mean the picture that was seen or the pixels that are stored, nobody
            can tell.
    """
    if is_turned(path):
        raise InputError(
            f"{path}: viewers turn it (EXIF orientation), its labels may too; save it turned, without EXIF"
        )
    height, width = read_size(path)
    if height * width > LARGEST:
        raise InputError(f"{path}: says it is {height}x{width}, more than {LARGEST:,} pixels; cut it into parts")
    return height, width


def refuse_other_size(mask: Path, image: str, size: tuple[int, int]) -> None:
    """Check by its header, before it is decoded, that a mask is as large as its image; raises ``InputError``."""
    height, width = read_size(mask)
    if (height, width) != size:
        raise InputError(f"{mask}: is {height}x{width}, but {image} is {size[0]}x{size[1]}; they must match")


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
