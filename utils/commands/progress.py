"""What a command shows while it works on images, and when some of them cannot be read."""

import sys

from tqdm import tqdm

from utils.errors import InputError
from utils.inference.inspected import Refused
from utils.text import visible


def progress(total: int, what: str) -> tqdm:
    """Show a bar with images/s on standard error; nothing when that is no terminal."""
    # rate_noinv: images/s even where a slow machine takes seconds for one.
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"
    return tqdm(total=total, desc=what, unit=" images", file=sys.stderr, disable=None, leave=False, bar_format=layout)


def require_images(done: int, skipped: list[Refused]) -> None:
    """Name the skipped images on standard error; raise ``InputError`` when not a single one could be read."""
    if not done and skipped:
        first = skipped[0]
        raise InputError(f"no image could be read, {len(skipped)} tried; the first: {first.name}: {first.reason}")
    for image in skipped:
        print(visible(f"skipped {image.name}: {image.reason}"), file=sys.stderr)
