"""Which images a folder holds, and what they are called.

An image's name is its path relative to the folder of images, with forward slashes on every system: ``line2/a.jpg``. Tables,
splits and pictures of results know images by it, so equal names in different folders stay apart.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from utils.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
NOT_UTF8 = "the file's name is not UTF-8, tables cannot hold it; rename the file"
# A prediction leaves one of these files in its folder of results, beside the folders of its pictures.
SUMMARY = "summary.json"
UNFINISHED = ".unfinished"  # stands for the summary of a prediction that was broken off
JOB = "job.json"  # of a prediction in shards, from its beginning
PICTURES = ("overlays", "masks", "heatmaps")
TRAIN_IMAGES, TEST_IMAGES = "train_images", "test_images"  # of a dataset folder
_JUNCTION = 0xA0000003  # what Windows calls a folder that leads to another (IO_REPARSE_TAG_MOUNT_POINT)


def list_images(folder: Path, apart: Sequence[Path] = ()) -> list[Path]:
    """List the images of a folder and of the folders within, sorted by name, see ``image_names``."""
    return [folder / name for name in image_names(folder, apart)]


def image_names(folder: Path, apart: Sequence[Path] = ()) -> list[str]:
    """List the names of the images of a folder and of the folders within, sorted; see ``walk_images``."""
    return sorted(walk_images(folder, apart))


def walk_images(folder: Path, apart: Sequence[Path] = (), any_name: bool = False) -> Iterator[str]:
    """Give the names of the images of a folder and of the folders within, in no order, and hold none of them.

    Hidden files and folders, other suffixes, folders that are links (one may lead out of the folder, or in a circle) and
    the pictures of earlier predictions are left out. A linked file is an image; a link that leads nowhere is listed:
    whoever reads it names it.

    Args:
        folder: folder to list.
        apart: folders that belong to something else, such as the masks; what lies in them is left out.
        any_name: give names that are not UTF-8, too, as Python writes them (``os.fsdecode``).

    Yields:
        The path of each image relative to the folder, with forward slashes: ``a.jpg``, ``line2/a.jpg``.

    Raises:
        InputError: the folder does not exist or is no folder, or a name is not UTF-8, which no table could hold.
        OSError: a folder within may not be read.
    """
    others = {os.path.realpath(path) for path in apart} - {os.path.realpath(folder)}
    waiting = [""]
    while waiting:
        within = waiting.pop()
        for entry in _entries(folder, within):
            name = within + entry.name
            # The suffix decides before the file type: is_file() of a link costs a system call.
            if is_image_name(entry.name) and _may_be_image(entry):
                if not any_name and not is_utf8(name):
                    raise InputError(f"{folder / name}: {NOT_UTF8}")
                yield name
            elif _is_folder_within(entry) and not (others and os.path.realpath(entry.path) in others):
                waiting.append(f"{name}/")


def name_in(folder: Path, path: Path) -> str:
    """Return the name of an image as ``image_names`` of its folder has it."""
    return path.name if path.parent == folder else path.relative_to(folder).as_posix()


def as_name(listed: str, folder: Path) -> str:
    """Return the name of an image that a table lists, also where the table has it as Windows writes it: ``a\\b.jpg``."""
    # Elsewhere a backslash may belong to a file's name.
    if "\\" in listed and (os.name == "nt" or not os.path.isfile(os.path.join(folder, listed))):  # noqa: PTH113, PTH118
        return listed.replace("\\", "/")
    return listed


def about_folders(names: Iterable[str]) -> str:
    """Say how many of the images lie in which folders within; "" where none does."""
    counts = sorted(Counter(name.partition("/")[0] for name in names if "/" in name).items())
    more = f" and {len(counts) - 3} more" if len(counts) > 3 else ""
    shown = ", ".join(f"{folder}/ {count}" for folder, count in counts[:3])
    return f"{sum(count for _, count in counts)} in folders within: {shown}{more}" if counts else ""


def about_links(folder: Path) -> str:
    """Say which links to folders ``image_names`` leaves out; "" where there is none."""
    found = linked_folders(folder)
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{folder / found[0]}{others}: a link to a folder, which is left out" if found else ""


def linked_folders(folder: Path) -> list[str]:
    """List the links to folders that ``image_names`` leaves out, sorted; hidden ones are not among them."""
    found = []
    waiting = [""]
    while waiting:
        within = waiting.pop()
        for entry in _entries(folder, within):
            if entry.is_symlink() and not entry.name.startswith(".") and os.path.isdir(entry.path):  # noqa: PTH112
                found.append(within + entry.name)
            elif _is_folder_within(entry):
                waiting.append(f"{within}{entry.name}/")
    return sorted(found)


def _entries(folder: Path, within: str) -> "Iterator[os.DirEntry[str]]":
    """Give what a folder, or one within it, holds, but for the pictures of earlier predictions."""
    place = folder / within if within else folder
    try:
        listed = os.scandir(place)
    except FileNotFoundError:
        if within:  # removed meanwhile
            return
        raise InputError(f"{folder}: no such folder") from None
    except NotADirectoryError:
        raise InputError(f"{folder}: is a file, expected a folder of images") from None
    with listed:
        results = any((place / name).exists() for name in (SUMMARY, UNFINISHED, JOB))
        for entry in listed:
            if not (results and entry.name in PICTURES):
                yield entry


def _is_folder_within(entry: "os.DirEntry[str]") -> bool:
    """Check whether an entry is a folder whose images are read: neither hidden nor a link, and on Windows no junction."""
    if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
        return False
    return getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) != _JUNCTION


def _may_be_image(entry: "os.DirEntry[str]") -> bool:
    """Check whether an entry of a folder is a file, or a link that leads nowhere or in a circle."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110 - 50,000 names
    except OSError:  # a link in a circle, or one that may not be followed
        return True


def is_image_name(name: str) -> bool:
    """Check whether a file name is that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")  # noqa: PTH122 - 50,000 names


def is_utf8(name: str) -> bool:
    """Check whether a name is text; Python keeps the bytes of one in another encoding as half of a character."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
