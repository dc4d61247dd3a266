"""Find the image that a file of labels names, never outside the folder of images."""

import os
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from utils.data.listing import IMAGE_SUFFIXES, NOT_UTF8, is_image_name, is_utf8
from utils.errors import InputError


def locate(images: Path, name: str, file: Path) -> Path:
    """Find an image by the name that a file of labels has for it.

    The name may be that of another computer: with either slash, with folders that are not there, escaped as in an
    address (``%20``). Of its folders as many as possible are followed from the right; ``..`` and a leading slash are not.

    Args:
        images: the folder that holds the images.
        name: as the file of labels has it.
        file: that file, for messages.

    Raises:
        InputError: the name is not of an image, no such image lies in the folder, or a link on the way leads out of it.
    """
    for spelling in dict.fromkeys((name, unquote(name))):
        parts = [part for part in PureWindowsPath(spelling).parts if part not in ("/", "\\", ".")]
        drive = PureWindowsPath(spelling).drive
        parts = parts[1:] if drive and parts and parts[0].startswith(drive) else parts
        while ".." in parts:
            parts = parts[parts.index("..") + 1 :]
        for start in range(len(parts)):
            path = images.joinpath(*parts[start:])
            # isfile() is False for names that no file system takes, where is_file() raises.
            if os.path.isfile(path):  # noqa: PTH113
                return _accepted(images, path, name, file)
    base = PureWindowsPath(unquote(name)).name
    if not is_image_name(base):
        raise InputError(f"{file}: {name} is not of an image ({', '.join(sorted(IMAGE_SUFFIXES))}); convert the image")
    if not is_utf8(name):
        raise InputError(f"{file}: {name}: {NOT_UTF8}")
    raise InputError(f"{images / base}: no such image, but {file.name} lists {name}; restore it or correct -images")


def _accepted(images: Path, path: Path, name: str, file: Path) -> Path:
    if not is_image_name(path.name):
        raise InputError(f"{file}: {name} is not of an image ({', '.join(sorted(IMAGE_SUFFIXES))}); convert the image")
    if not is_utf8(path.name):
        raise InputError(f"{file}: {name}: {NOT_UTF8}")
    if any(part.startswith(".") for part in path.relative_to(images).parts):
        raise InputError(f"{path}: hidden files and folders hold no images; rename what begins with a dot")
    if not path.parent.resolve().is_relative_to(images.resolve()):
        raise InputError(f"{path}: a link on the way leads out of -images; name the folder that it leads to by -images")
    return path
