"""Where each image lies along and across the strip: from ``positions.csv``, or from the numbers in the images' names.

An image whose place is not known for sure is left out, and said to be: a gap on the map is seen, a shifted map is not.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utils.coil.gaps import find_gaps
from utils.coil.names import camera_name, natural, numbers_of, side_by_side
from utils.coil.order import crossing
from utils.coil.plan import Camera, CoilPlan
from utils.coil.speed import SPEED, distances, seconds
from utils.coil.tables import FRAME_COLUMNS
from utils.data.tables import AnnotationError, is_filler, read_table, require_columns
from utils.errors import InputError
from utils.text import plural

POSITIONS = "positions.csv"  # in the folder of a coil
Size = tuple[int, int]  # height, width in pixels

_KINDS = ("start_m", "start_px", "count", "time")  # the first of them that the table has is used
_LAYOUT = "ImageId,camera,start_m,left_mm (or time, or count, instead of start_m)"
# A table that contradicts the order of the images more often than this is wrong as a whole.
_MOST_CROSSING = 0.2
# Places that begin farther off than the coil is long and so many frames more count from elsewhere than its head.
_FAR = 20.0
# Numbers that leave out more frames than this, for each that is there, count something else.
_MOST_MISSING = 10
# No strip is longer than 100 km, or wider than 100 m.
_FARTHEST, _WIDEST = 1e8, 1e5  # units of the plan
# A place so many frames, and so many times the length of all others, from them is a slip of the pen: no gap is as long.
_FAR_FRAMES, _FAR_SPANS = 500.0, 20.0
# Fewest images that tell how long the strip is.
_TELLING = 5
_NO_PLACE = 1e200  # what is larger overflows
# Encoders count up to 2 to the power of so many, and begin anew.
_COUNTER_BITS = (16, 24, 32)


@dataclass(frozen=True)
class Frames:
    """The images of a coil on the strip.

    Attributes:
        table: a row of ``FRAME_COLUMNS`` for each image that was placed, in the order along the strip.
        gaps: a row of ``GAP_COLUMNS`` for each stretch of the strip that a camera should have seen and has not.
        warnings: what was wrong with the tables and what was made of it, a line each.
        unplaced: images that were left out -> why.
        counted: places come from the numbers of the images alone, so 0 is where the first one begins.
        reach: where the last image ends whose place is known, one that could not be read too.
    """

    table: pd.DataFrame
    gaps: pd.DataFrame
    warnings: tuple[str, ...] = ()
    unplaced: Mapping[str, str] = field(default_factory=dict)
    counted: bool = False
    reach: float = 0.0

    @property
    def length(self) -> float:
        """From the head of the coil, 0, to the end of the last image whose place is known."""
        return max(float(self.table["end"].max()), self.reach)

    def without(self, unread: Mapping[str, str], plan: CoilPlan) -> "Frames":
        """Return the frames without images that could not be read: their places are gaps, and are not moved."""
        lost = self.table["image"].isin(list(unread))
        if not lost.any():
            return self
        kept = self.table[~lost].reset_index(drop=True)
        gaps = find_gaps(kept, plan, self.length)
        return replace(self, table=kept, gaps=gaps, unplaced={**self.unplaced, **unread}, reach=self.length)


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
    placer = _Placer(plan, sizes, unread, not_asked)
    if folder is not None and (folder / POSITIONS).exists():
        return placer.frames(placer.from_table(folder), folder)
    starts = placer.from_numbers({name: (cameras or {}).get(name, "") for name in placer.sizes}, folder)
    return replace(placer.frames(starts, folder), counted=True)


class _Placer:
    """Collects what is known of each image, and what was wrong on the way."""

    def __init__(
        self, plan: CoilPlan, sizes: Mapping[str, Size], unread: Iterable[str] = (), not_asked: Iterable[str] = ()
    ) -> None:
        self.plan = plan
        self.not_asked = set(not_asked) - set(sizes)
        # What is not at hand is taken as large as most images are, and is placed for its gap.
        self.usual = Counter(sizes.values()).most_common(1)[0][0]
        self.absent = set(unread) - set(sizes)
        self.sizes = {**sizes, **dict.fromkeys(sorted(self.absent), self.usual)}
        self.warnings: list[str] = []
        self.unplaced: dict[str, str] = {}

    # Each way gives a table: image, camera, begin, left; nan where the camera's own place across counts.

    def from_table(self, folder: Path) -> pd.DataFrame:
        file = folder / POSITIONS
        table = _read(file)
        table = table[~table["image"].isin(self.not_asked)].reset_index(drop=True)
        kind = next((name for name in _KINDS if name in table), None)
        if kind is None:
            raise InputError(f"{file}: no column {', '.join(_KINDS)}; expected {_LAYOUT}")
        key = seconds(file, table[kind]) if kind == "time" else _numbers(table[kind])
        table = table.assign(key=key, across=self.across(table))
        table["camera"] = [self.named(camera, file) for camera in table["camera"]]
        table = self.known(file, self.narrow(table))
        table = self.complete(file, table, kind)
        table = self.once(file, table)
        for camera in table["camera"].unique():
            self.described(camera, file)
        table = self.in_order(file, table, kind)
        table = table.assign(begin=self.along(file, folder, table, kind))
        late = table["begin"].isna()
        if late.all():
            raise InputError(
                f"{file}: all of its times are outside those of {SPEED}; give both tables times of one clock"
            )
        self.leave_out(table.loc[late, "image"], f"outside the times of {SPEED}")
        return self.moving(self.near(file, table[~late]))

    def narrow(self, table: pd.DataFrame) -> pd.DataFrame:
        """Leave out images whose place across is said, and is no number or none that a strip has."""
        column = "left_mm" if self.plan.unit == "mm" else "left_px"
        if column not in table:
            return table
        across = table["across"].to_numpy(float)
        wrong = ~table[column].map(is_filler).to_numpy(bool) & ~(np.abs(across) <= _WIDEST)
        self.leave_out(table.loc[wrong, "image"], f"no usable number in column {column} of {POSITIONS}")
        if wrong.all():
            raise InputError(f"{POSITIONS}: column {column} has no usable number for any image; correct it")
        return table[~wrong]

    def near(self, file: Path, table: pd.DataFrame) -> pd.DataFrame:
        """Leave out images so far from the others that no strip, or no gap in it, is as long."""
        begin = table["begin"].to_numpy(float)
        # The middle one of all, and the middle four fifths, not their mean: a few wrong places must not carry them away.
        order = np.sort(begin)
        reach = _FARTHEST
        if len(order) >= _TELLING:
            outermost = max(1, len(order) // 10)
            span = float(order[-1 - outermost] - order[outermost])
            views = zip(table["image"], table["camera"], strict=True)
            frame = float(np.median([self.extent(name, self.seen_by(str(camera)))[0] for name, camera in views]))
            reach = min(reach, _FAR_SPANS * span + _FAR_FRAMES * frame)
        wrong = ~(np.abs(begin - order[len(order) // 2]) <= reach)
        if wrong.all():
            raise InputError(f"{file}: its places are no numbers of metres; correct them")
        self.leave_out(table.loc[wrong, "image"], f"its place in {POSITIONS} is absurdly far from all others")
        return table[~wrong]

    def known(self, file: Path, table: pd.DataFrame) -> pd.DataFrame:
        there = table["image"].isin(list(self.sizes))
        if not there.any() and len(table):
            raise InputError(
                f"{file}: none of its images is there (the first: {table['image'].iloc[0]}); ImageId is the name of a file,"
                " as 0001.jpg"
            )
        if not there.all():
            names = list(dict.fromkeys(table.loc[~there, "image"]))
            self.warn(f"{file}: {_are(names, 'image')} not there: {_some(names)}; the strip has a gap in their place")
            places = table["camera"].map(lambda camera: self.plan.camera(camera) is not None).to_numpy(bool)
            self.absent |= set(table.loc[~there & places, "image"])
            self.sizes |= dict.fromkeys(table.loc[~there & places, "image"], self.usual)
            there |= places
        listed = set(table["image"])
        missing = [name for name in self.sizes if name not in listed]
        self.leave_out(missing, f"no row in {POSITIONS}")
        return table[there]

    def complete(self, file: Path, table: pd.DataFrame, kind: str) -> pd.DataFrame:
        """Drop rows without a number; an image that has another row with one stays."""
        empty = ~(np.abs(table["key"].to_numpy(float)) < _NO_PLACE)
        if empty.all():
            raise InputError(f"{file}: column {kind} has no number for any image; expected {_LAYOUT}")
        whole = table[~empty]
        lost = table.loc[empty & ~table["image"].isin(whole["image"]), "image"]
        self.leave_out(lost.unique(), f"no number in column {kind} of {POSITIONS}")
        return whole

    def once(self, file: Path, table: pd.DataFrame) -> pd.DataFrame:
        """Keep one of equal rows of an image; leave an image out whose rows disagree."""
        table = table.drop_duplicates(["image", "camera", "key", "across"])
        twice = table["image"].duplicated(keep=False)
        self.leave_out(table.loc[twice, "image"].unique(), f"rows of {POSITIONS} that contradict each other")
        if twice.all():
            raise InputError(f"{file}: gives every image several different places; keep one row for each image")
        return table[~twice]

    def no_wrap(self, file: Path, rows: pd.DataFrame) -> None:
        """Refuse counts that begin anew in the middle: only whoever reads the encoder knows how often they did."""
        counts = rows["key"].to_numpy(float)
        for bits in _COUNTER_BITS:
            whole = 2.0**bits
            steps = np.diff(counts)
            falls = np.flatnonzero(np.abs(steps) > whole / 2)
            if counts.min() < 0 or counts.max() >= whole or not falls.size:
                continue
            mended = np.diff(np.unwrap(counts, period=whole))
            if (mended >= 0).all() or (mended <= 0).all():
                one = int(falls[0])
                raise InputError(
                    f"{file}: column count goes from {counts[one]:.0f} to {counts[one + 1]:.0f} at"
                    f" {rows['image'].iloc[one + 1]}, as a counter of {bits} bits does that begins anew; write counts that"
                    f" go on ({whole:.0f} more from there)"
                )

    def in_order(self, file: Path, table: pd.DataFrame, kind: str) -> pd.DataFrame:
        """Leave out images whose place contradicts the order of their numbers, camera by camera."""
        kept, total = [], 0
        for _, rows in table.groupby("camera", sort=False):
            numbers = numbers_of(rows["image"])
            if numbers is None:  # names that say nothing of an order
                kept.append(rows)
                continue
            rows = rows.iloc[np.argsort(numbers, kind="stable")]
            if kind == "count":
                self.no_wrap(file, rows)
            wrong = crossing(rows["key"].to_numpy(float), may_return=kind != "time")
            total += int(wrong.sum())
            self.leave_out(rows.loc[wrong, "image"], f"its place in {POSITIONS} crosses that of its neighbours")
            kept.append(rows[~wrong])
        if total > _MOST_CROSSING * len(table):
            first = next(name for name, why in self.unplaced.items() if "crosses" in why)
            raise InputError(
                f"{file}: the places of {total} of {len(table)} images contradict the order of their numbers (the first:"
                f" {first}); correct column {kind}"
            )
        return pd.concat(kept)

    def along(self, file: Path, folder: Path, table: pd.DataFrame, kind: str) -> np.ndarray:
        """Return where each image begins, in the unit of the plan; nan: not known."""
        key = table["key"].to_numpy(float)
        if kind == "time":
            metres, notes = distances(folder / SPEED, key, file)
            self.warnings += notes
        elif kind == "count":
            if self.plan.m_per_count is None:
                raise InputError(
                    f"{file}: has encoder counts; say m_per_count, metres of strip per count, in coil.yaml"
                )
            metres = key * self.plan.m_per_count
        else:
            metres = key
        scaled = self.plan.unit == "mm"
        if kind == "start_px":
            if scaled:
                raise InputError(f"{file}: has start_px, but coil.yaml has mm_per_pixel; give start_m instead")
            return metres
        return metres * 1000 if scaled else self.in_frames(file, table, metres)

    def in_frames(self, file: Path, table: pd.DataFrame, metres: np.ndarray) -> np.ndarray:
        """Return metres as pixels where no scale is known: the usual step from image to image is one frame."""
        steps, lengths = [], []
        for camera, rows in table.assign(metres=metres).groupby("camera"):
            steps.append(np.abs(np.diff(np.sort(rows["metres"].dropna().to_numpy()))))
            lengths.append([self.extent(name, self.seen_by(str(camera)))[0] for name in rows["image"]])
        moved = np.concatenate(steps)
        moved = moved[moved > 0]
        step = float(np.median(moved)) if moved.size else 1.0
        self.warn(
            f"{file}: gives metres, but coil.yaml has no mm_per_pixel; the usual step from image to image is taken as one"
            " frame, so overlaps are not shown"
        )
        return metres / step * float(np.median(np.concatenate(lengths)))

    def across(self, table: pd.DataFrame) -> np.ndarray:
        """Return where each image begins across, in the unit of the plan; nan where the table does not say."""
        scaled = self.plan.unit == "mm"
        column = "left_mm" if scaled else "left_px"
        if column in table:
            return _numbers(table[column])
        if not scaled and "left_mm" in table:
            self.warn(f"{POSITIONS}: gives left_mm, but coil.yaml has no mm_per_pixel; cameras are put side by side")
        return np.full(len(table), np.nan)

    def moving(self, table: pd.DataFrame) -> pd.DataFrame:
        """Drop images that show again what another one shows: a defect there would look like dirt on the lens."""
        kept, number = [], 0
        at_hand = ~table["image"].isin(self.absent)
        kept.append(table[~at_hand])
        # A camera that moves across the strip shows something else at each of its places.
        for (camera, _), rows in table[at_hand].groupby(["camera", "across"], sort=False, dropna=False):
            scale = self.seen_by(str(camera)).mm_per_px_along or 1.0
            rows = rows.sort_values("begin", kind="stable")
            again = rows["begin"].diff().to_numpy() < 0.01 * scale
            number += int(again.sum())
            kept.append(rows[~again])
        if number:
            verb = "shows" if number == 1 else "show"
            self.warn(
                f"{plural(number, 'image')} {verb} again what another one shows (the strip stood still or ran back)"
            )
        return pd.concat(kept)

    def from_numbers(self, cameras: Mapping[str, str], folder: Path | None) -> pd.DataFrame:
        """Place images one after the other, by the numbers in their names; a number that is missing is a gap."""
        names = pd.Series(list(cameras))
        seen = [self.named(camera, folder) for camera in cameras.values()]
        table = pd.DataFrame({"image": names, "camera": seen, "across": np.nan})
        counted: dict[str, np.ndarray | None] = {
            str(camera): numbers_of(rows["image"]) for camera, rows in table.groupby("camera")
        }
        where = f"{folder}: " if folder is not None else ""
        first = min((int(numbers.min()) for numbers in counted.values() if numbers is not None), default=0)
        parts = []
        for camera, rows in table.groupby("camera", sort=False):
            self.described(str(camera), folder)
            described, numbers = self.seen_by(str(camera)), counted[str(camera)]
            if numbers is None:
                numbers = np.arange(len(rows)) + first
                self.warn(
                    f"{where}the images' names do not number them one by one; they are taken in the order of their names,"
                    f" one frame after the other ({POSITIONS} says where they lie)"
                )
            steps = numbers - first
            if steps.max() >= _MOST_MISSING * max(len(rows), 10):
                raise InputError(
                    f"{where}the numbers in the images' names leave out most frames ({rows['image'].iloc[0]} to"
                    f" {rows['image'].iloc[-1]}); say where the images lie in {POSITIONS}"
                )
            lengths = np.array([self.extent(name, described)[0] for name in rows["image"]])
            whole = np.full(int(steps.max()) + 1, np.median(lengths))
            whole[steps] = lengths
            begins = np.concatenate([[0.0], np.cumsum(whole)])
            parts.append(rows.assign(begin=begins[steps]))
        return pd.concat(parts)

    # What all ways have in common.

    def seen_by(self, camera: str) -> Camera:
        seen = self.plan.camera(camera)
        assert seen is not None, "``described`` was asked"
        return seen

    def named(self, camera: str, file: Path | None) -> str:
        """Return the camera of images that name none: the only one that coil.yaml names."""
        names = [name for name in self.plan.cameras if name]
        if camera or not names:
            return camera
        if len(names) > 1:
            raise InputError(
                f"{file}: images without a camera, and coil.yaml describes several ({', '.join(names)}); say the camera of"
                f" each image in {POSITIONS}"
            )
        return names[0]

    def described(self, camera: str, file: Path | None) -> None:
        if self.plan.camera(camera) is None:
            known = ", ".join(self.plan.cameras)
            who = f"camera {camera}" if camera else "images without a camera"
            raise InputError(
                f"{file}: {who}: coil.yaml describes {known} only; add it there, or give mm_per_pixel for all cameras"
            )

    def extent(self, image: str, camera: Camera) -> tuple[float, float]:
        """Return the length along and across that an image shows, in the unit of the plan."""
        return extent(self.sizes[image], camera)

    def frames(self, starts: pd.DataFrame, folder: Path | None) -> Frames:
        lefts = self.lefts(starts, folder)
        seen = [(name, self.seen_by(camera)) for name, camera in zip(starts["image"], starts["camera"], strict=True)]
        sides = np.array([self.extent(name, camera) for name, camera in seen]).reshape(-1, 2)
        begin = self.from_head(starts["begin"].to_numpy(float), float(np.median(sides[:, 0])))
        sizes = np.array([self.sizes[name] for name, _ in seen], dtype=np.int64).reshape(-1, 2)
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
        table = table[~table["image"].isin(self.absent)].reset_index(drop=True)
        self.unplaced = {name: why for name, why in self.unplaced.items() if name not in self.absent}
        if table.empty:
            raise InputError(
                f"{folder}: no image has a place: {next(iter(self.unplaced.values()), 'none could be read')}"
            )
        reasons: dict[str, list[str]] = {}
        for name, reason in self.unplaced.items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            self.warn(f"{plural(len(names), 'image')} left out, {reason}: {_some(names)}")
        self.say_ends(table)
        return Frames(table, find_gaps(table, self.plan, reach), tuple(self.warnings), self.unplaced, reach=reach)

    def say_ends(self, table: pd.DataFrame) -> None:
        """Say where images without a place are the outermost ones: there the coil is longer than its map."""
        numbers = numbers_of(list(self.sizes))
        if numbers is None or not self.unplaced:
            return
        number = dict(zip(self.sizes, numbers.tolist(), strict=True))
        placed = [number[name] for name in table["image"]]
        beyond = [name for name in self.unplaced if not min(placed) < number.get(name, min(placed) + 1) < max(placed)]
        if beyond:
            self.warn(
                f"the coil is longer than the map: {_are(beyond, 'image')} at its ends without a place"
                f" ({_some(beyond)}); distances from there are too short"
            )

    def from_head(self, begin: np.ndarray, frame: float) -> np.ndarray:
        """Return places from the head of the coil on, whatever a counter began with; ``frame`` is the length of one."""
        first, last = float(begin.min()), float(begin.max())
        if first < 0 or first > last - first + _FAR * frame:
            unit = f"{first / 1000:.3f} m" if self.plan.unit == "mm" else f"{first:.0f} px"
            self.warn(f"places begin at {unit}; the map counts from there")
            return begin - first
        return begin

    def lefts(self, starts: pd.DataFrame, folder: Path | None) -> np.ndarray:
        """Return where each image begins across: by the table, by coil.yaml, else cameras side by side in order."""
        across = starts["across"].to_numpy(float).copy()
        cameras = starts["camera"].to_numpy()
        order = sorted(set(cameras), key=natural)
        widest = max(
            self.extent(name, self.seen_by(one))[1] for name, one in zip(starts["image"], cameras, strict=True)
        )
        beside = {camera: place * widest for camera, place in side_by_side(order).items()}
        unsaid = []
        for camera in order:
            own = cameras == camera
            given = self.seen_by(camera).left
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
            if len(unsaid) < len(order) or self.plan.unit == "mm":
                raise InputError(
                    f"{folder}: camera {unsaid[0]}: nothing says where its images begin across the strip; give left_mm in"
                    f" {POSITIONS}, or left for each of cameras in coil.yaml"
                )
            self.warn(
                f"nothing says where the {len(order)} cameras lie across the strip; they are put side by side in the order"
                " of their names, without overlap"
            )
        return across

    def leave_out(self, names: Iterable[str], reason: str) -> None:
        for name in names:
            self.unplaced.setdefault(name, reason)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def extent(size: Size, camera: Camera) -> tuple[float, float]:
    """Return the length along and across the strip that an image shows, in the unit of the plan.

    Args:
        size: height and width in pixels.
        camera: that took it.
    """
    along, across = size if camera.along == "y" else size[::-1]
    return along * (camera.mm_per_px_along or 1.0), across * (camera.mm_per_px_across or 1.0)


def _read(file: Path) -> pd.DataFrame:
    try:
        table = read_table(file)
        name = "image" if "image" in table and "ImageId" not in table else "ImageId"
        require_columns(file, table, [name], f"expected {_LAYOUT}")
    except AnnotationError as error:
        row = "" if error.row is None else f", row {error.row}"
        raise InputError(f"{file}{row}: {error.reason}; expected a table {_LAYOUT}") from None
    twice = [name for name in (*_KINDS, "camera", "left_mm", "left_px") if list(table.columns).count(name) > 1]
    if twice:
        raise InputError(f"{file}: column {twice[0]} occurs twice; remove or rename one of them")
    if table.empty:
        raise InputError(f"{file}: lists no images; add rows, or remove the file where images are numbered in order")
    words: dict[str, Any] = {"image": table[name].str.strip(), "row": table.index}
    words["camera"] = table["camera"].str.strip().map(camera_name) if "camera" in table else ""
    kept = [name for name in (*_KINDS, "left_mm", "left_px") if name in table]
    return pd.DataFrame({**words, **{name: table[name] for name in kept}}).reset_index(drop=True)


def listed_images(folder: Path) -> dict[str, str]:
    """Read which images ``positions.csv`` lists: image -> camera; empty where there is no such table.

    Raises:
        InputError: it is not a table of images.
    """
    if not (folder / POSITIONS).exists():
        return {}
    table = _read(folder / POSITIONS)
    return dict(zip(table["image"], table["camera"], strict=True))


def _numbers(column: pd.Series) -> np.ndarray:
    numbers: np.ndarray = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(float)
    return numbers


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(str, names[:3])) + more


def _are(names: Sequence[str], noun: str) -> str:
    return f"{plural(len(names), noun)} {'is' if len(names) == 1 else 'are'}"
