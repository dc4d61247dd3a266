"""Where each image lies along and across the strip: from ``positions.csv``, or from the numbers in the images' names."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from utils.coil.frames import Frames, Size
from utils.coil.gaps import find_gaps
from utils.coil.images import POSITIONS, CoilImages, are, some
from utils.coil.names import natural, numbers_of, side_by_side
from utils.coil.plan import CoilPlan
from utils.coil.position_table import starts_of_table
from utils.coil.tables import FRAME_COLUMNS
from utils.errors import InputError
from utils.text import plural

# Places that begin farther off than the coil is long and so many frames more count from elsewhere than its head.
_FAR = 20.0
# Numbers that leave out more frames than this, for each that is there, count something else.
_MOST_MISSING = 10


def read_frames(
    folder: Path | None,
    plan: CoilPlan,
    sizes: Mapping[str, Size],
    cameras: Mapping[str, str] | None = None,
    unread: Iterable[str] = (),
    not_asked: Iterable[str] = (),
) -> Frames:
    """Place the images of a coil.

    Args:
        folder: of the coil, with or without ``positions.csv`` (and ``speed.csv``); none: no table.
        plan: of ``coil.yaml``.
        sizes: image name -> height and width in pixels.
        cameras: image name -> camera, where there is no table to say so; left out: one camera.
        unread: images that are there and cannot be read, so that they have no size: their places are gaps.
        not_asked: images that are there and do not belong on the map: their rows count for nothing.

    Returns:
        The frames. Without a table they follow each other by the number in their names, equal steps of one frame, and
        cameras lie side by side.

    Raises:
        InputError: a table cannot be used at all, or nothing could be placed.
    """
    if not sizes:
        raise InputError(f"{folder}: no images to place; name a folder of images with -dir")
    images = CoilImages(plan, sizes, unread, not_asked)
    if folder is not None and (folder / POSITIONS).exists():
        return _frames(images, starts_of_table(images, folder), folder)
    starts = _from_numbers(images, {name: (cameras or {}).get(name, "") for name in images.sizes}, folder)
    return replace(_frames(images, starts, folder), counted=True)


def _from_numbers(images: CoilImages, cameras: Mapping[str, str], folder: Path | None) -> pd.DataFrame:
    """Place images one after the other, by the numbers in their names; a number that is missing is a gap."""
    names = pd.Series(list(cameras))
    seen = [images.named(camera, folder) for camera in cameras.values()]
    table = pd.DataFrame({"image": names, "camera": seen, "across": np.nan})
    counted: dict[str, np.ndarray | None] = {
        str(camera): numbers_of(rows["image"]) for camera, rows in table.groupby("camera")
    }
    where = f"{folder}: " if folder is not None else ""
    first = min((int(numbers.min()) for numbers in counted.values() if numbers is not None), default=0)
    parts = []
    for camera, rows in table.groupby("camera", sort=False):
        images.described(str(camera), folder)
        described, numbers = images.seen_by(str(camera)), counted[str(camera)]
        if numbers is None:
            numbers = np.arange(len(rows)) + first
            images.warn(
                f"{where}the images' names do not number them one by one; they are taken in the order of their names,"
                f" one frame after the other ({POSITIONS} says where they lie)"
            )
        steps = numbers - first
        if steps.max() >= _MOST_MISSING * max(len(rows), 10):
            raise InputError(
                f"{where}the numbers in the images' names leave out most frames ({rows['image'].iloc[0]} to"
                f" {rows['image'].iloc[-1]}); say where the images lie in {POSITIONS}"
            )
        lengths = np.array([images.extent(name, described)[0] for name in rows["image"]])
        whole = np.full(int(steps.max()) + 1, np.median(lengths))
        whole[steps] = lengths
        begins = np.concatenate([[0.0], np.cumsum(whole)])
        parts.append(rows.assign(begin=begins[steps]))
    return pd.concat(parts)


def _frames(images: CoilImages, starts: pd.DataFrame, folder: Path | None) -> Frames:
    lefts = _lefts(images, starts, folder)
    seen = [(name, images.seen_by(camera)) for name, camera in zip(starts["image"], starts["camera"], strict=True)]
    sides = np.array([images.extent(name, camera) for name, camera in seen]).reshape(-1, 2)
    begin = _from_head(images, starts["begin"].to_numpy(float), float(np.median(sides[:, 0])))
    sizes = np.array([images.sizes[name] for name, _ in seen], dtype=np.int64).reshape(-1, 2)
    table = pd.DataFrame(
        {
            "image": starts["image"].to_numpy(),
            "camera": starts["camera"].to_numpy(),
            "begin": begin,
            "end": begin + sides[:, 0],
            "left": lefts,
            "right": lefts + sides[:, 1],
            "width_px": sizes[:, 1],
            "height_px": sizes[:, 0],
        }
    )
    table = table.sort_values(["begin", "left", "image"], kind="stable", ignore_index=True)[list(FRAME_COLUMNS)]
    reach = float(table["end"].max())
    table = table[~table["image"].isin(images.absent)].reset_index(drop=True)
    images.unplaced = {name: why for name, why in images.unplaced.items() if name not in images.absent}
    if table.empty:
        raise InputError(
            f"{folder}: no image has a place: {next(iter(images.unplaced.values()), 'none could be read')}"
        )
    reasons: dict[str, list[str]] = {}
    for name, reason in images.unplaced.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        images.warn(f"{plural(len(names), 'image')} left out, {reason}: {some(names)}")
    _say_ends(images, table)
    return Frames(table, find_gaps(table, images.plan, reach), tuple(images.warnings), images.unplaced, reach=reach)


def _say_ends(images: CoilImages, table: pd.DataFrame) -> None:
    """Say where images without a place are the outermost ones: there the coil is longer than its map."""
    numbers = numbers_of(list(images.sizes))
    if numbers is None or not images.unplaced:
        return
    number = dict(zip(images.sizes, numbers.tolist(), strict=True))
    placed = [number[name] for name in table["image"]]
    beyond = [name for name in images.unplaced if not min(placed) < number.get(name, min(placed) + 1) < max(placed)]
    if beyond:
        images.warn(
            f"the coil is longer than the map: {are(beyond, 'image')} at its ends without a place"
            f" ({some(beyond)}); distances from there are too short"
        )


def _from_head(images: CoilImages, begin: np.ndarray, frame: float) -> np.ndarray:
    """Return places from the head of the coil on, whatever a counter began with; ``frame`` is the length of one."""
    first, last = float(begin.min()), float(begin.max())
    if first < 0 or first > last - first + _FAR * frame:
        unit = f"{first / 1000:.3f} m" if images.plan.unit == "mm" else f"{first:.0f} px"
        images.warn(f"places begin at {unit}; the map counts from there")
        return begin - first
    return begin


def _lefts(images: CoilImages, starts: pd.DataFrame, folder: Path | None) -> np.ndarray:
    """Return where each image begins across: by the table, by coil.yaml, else cameras side by side in order."""
    across = starts["across"].to_numpy(float).copy()
    cameras = starts["camera"].to_numpy()
    order = sorted(set(cameras), key=natural)
    widest = max(
        images.extent(name, images.seen_by(one))[1] for name, one in zip(starts["image"], cameras, strict=True)
    )
    beside = {camera: place * widest for camera, place in side_by_side(order).items()}
    unsaid = []
    for camera in order:
        own = cameras == camera
        given = images.seen_by(camera).left
        said = across[own & np.isfinite(across)]
        if given is None and said.size and np.ptp(said) > 0 and not np.isfinite(across[own]).all():
            # One of several places: nobody knows which.
            lost = own & ~np.isfinite(across)
            raise InputError(
                f"{folder}: {POSITIONS} gives camera {camera} several left_mm, and none for"
                f" {starts['image'].to_numpy()[lost][0]}; complete the column"
            )
        if given is None and said.size:
            given = float(said[0])
        if given is None:
            unsaid.append(camera)
            given = beside[camera] if len(order) > 1 else 0.0
        across[own & ~np.isfinite(across)] = given
    if len(order) > 1 and unsaid:
        if len(unsaid) < len(order) or images.plan.unit == "mm":
            raise InputError(
                f"{folder}: camera {unsaid[0]}: nothing says where its images begin across the strip; give left_mm in"
                f" {POSITIONS}, or left for each of cameras in coil.yaml"
            )
        images.warn(
            f"nothing says where the {len(order)} cameras lie across the strip; they are put side by side in the order"
            " of their names, without overlap"
        )
    return across
