"""Where ``positions.csv`` says that each image of a coil begins, along and across the strip.

An image whose place is not known for sure is left out, and said to be: a gap on the map is seen, a shifted map is not.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utils.coil.images import POSITIONS, CoilImages, are, some
from utils.coil.names import camera_name, numbers_of
from utils.coil.order import crossing
from utils.coil.speed import SPEED, distances, seconds
from utils.data.tables import AnnotationError, is_filler, read_table, require_columns
from utils.errors import InputError
from utils.text import plural

_KINDS = ("start_m", "start_px", "count", "time")  # the first of them that the table has is used
_LAYOUT = "ImageId,camera,start_m,left_mm (or time, or count, instead of start_m)"
# A table that contradicts the order of the images more often than this is wrong as a whole.
_MOST_CROSSING = 0.2
# No strip is longer than 100 km, or wider than 100 m.
_FARTHEST, _WIDEST = 1e8, 1e5  # units of the plan
# A place so many frames, and so many times the length of all others, from them is a slip of the pen: no gap is as long.
_FAR_FRAMES, _FAR_SPANS = 500.0, 20.0
# Fewest images that tell how long the strip is.
_TELLING = 5
_NO_PLACE = 1e200  # what is larger overflows
# Encoders count up to 2 to the power of so many, and begin anew.
_COUNTER_BITS = (16, 24, 32)


def starts_of_table(images: CoilImages, folder: Path) -> pd.DataFrame:
    """Return where the images of a table begin: image, camera, begin, across (nan: not said), in the unit of the plan.

    Raises:
        InputError: the table cannot be used at all.
    """
    return _Table(images).from_table(folder)


def listed_images(folder: Path) -> dict[str, str]:
    """Read which images ``positions.csv`` lists: image -> camera; empty where there is no such table.

    Raises:
        InputError: it is not a table of images.
    """
    if not (folder / POSITIONS).exists():
        return {}
    table = _read(folder / POSITIONS)
    return dict(zip(table["image"], table["camera"], strict=True))


class _Table:
    """Reads a table row by row, each step without the rows that the one before it left out."""

    def __init__(self, images: CoilImages) -> None:
        self.images = images

    def from_table(self, folder: Path) -> pd.DataFrame:
        file = folder / POSITIONS
        table = _read(file)
        table = table[~table["image"].isin(self.images.not_asked)].reset_index(drop=True)
        kind = next((name for name in _KINDS if name in table), None)
        if kind is None:
            raise InputError(f"{file}: no column {', '.join(_KINDS)}; expected {_LAYOUT}")
        key = seconds(file, table[kind]) if kind == "time" else _numbers(table[kind])
        table = table.assign(key=key, across=self.across(table))
        table["camera"] = [self.images.named(camera, file) for camera in table["camera"]]
        table = self.known(file, self.narrow(table))
        table = self.complete(file, table, kind)
        table = self.once(file, table)
        for camera in table["camera"].unique():
            self.images.described(camera, file)
        table = self.in_order(file, table, kind)
        table = table.assign(begin=self.along(file, folder, table, kind))
        late = table["begin"].isna()
        if late.all():
            raise InputError(
                f"{file}: all of its times are outside those of {SPEED}; give both tables times of one clock"
            )
        self.images.leave_out(table.loc[late, "image"], f"outside the times of {SPEED}")
        return self.moving(self.near(file, table[~late]))

    def narrow(self, table: pd.DataFrame) -> pd.DataFrame:
        """Leave out images whose place across is said, and is no number or none that a strip has."""
        column = "left_mm" if self.images.plan.unit == "mm" else "left_px"
        if column not in table:
            return table
        across = table["across"].to_numpy(float)
        wrong = ~table[column].map(is_filler).to_numpy(bool) & ~(np.abs(across) <= _WIDEST)
        self.images.leave_out(table.loc[wrong, "image"], f"no usable number in column {column} of {POSITIONS}")
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
            frame = float(
                np.median([self.images.extent(name, self.images.seen_by(str(camera)))[0] for name, camera in views])
            )
            reach = min(reach, _FAR_SPANS * span + _FAR_FRAMES * frame)
        wrong = ~(np.abs(begin - order[len(order) // 2]) <= reach)
        if wrong.all():
            raise InputError(f"{file}: its places are no numbers of metres; correct them")
        self.images.leave_out(table.loc[wrong, "image"], f"its place in {POSITIONS} is absurdly far from all others")
        return table[~wrong]

    def known(self, file: Path, table: pd.DataFrame) -> pd.DataFrame:
        there = table["image"].isin(list(self.images.sizes))
        if not there.any() and len(table):
            raise InputError(
                f"{file}: none of its images is there (the first: {table['image'].iloc[0]}); ImageId is the name of a file,"
                " as 0001.jpg"
            )
        if not there.all():
            names = list(dict.fromkeys(table.loc[~there, "image"]))
            self.images.warn(
                f"{file}: {are(names, 'image')} not there: {some(names)}; the strip has a gap in their place"
            )
            places = table["camera"].map(lambda camera: self.images.plan.camera(camera) is not None).to_numpy(bool)
            self.images.absent |= set(table.loc[~there & places, "image"])
            self.images.sizes |= dict.fromkeys(table.loc[~there & places, "image"], self.images.usual)
            there |= places
        listed = set(table["image"])
        missing = [name for name in self.images.sizes if name not in listed]
        self.images.leave_out(missing, f"no row in {POSITIONS}")
        return table[there]

    def complete(self, file: Path, table: pd.DataFrame, kind: str) -> pd.DataFrame:
        """Drop rows without a number; an image that has another row with one stays."""
        empty = ~(np.abs(table["key"].to_numpy(float)) < _NO_PLACE)
        if empty.all():
            raise InputError(f"{file}: column {kind} has no number for any image; expected {_LAYOUT}")
        whole = table[~empty]
        lost = table.loc[empty & ~table["image"].isin(whole["image"]), "image"]
        self.images.leave_out(lost.unique(), f"no number in column {kind} of {POSITIONS}")
        return whole

    def once(self, file: Path, table: pd.DataFrame) -> pd.DataFrame:
        """Keep one of equal rows of an image; leave an image out whose rows disagree."""
        table = table.drop_duplicates(["image", "camera", "key", "across"])
        twice = table["image"].duplicated(keep=False)
        self.images.leave_out(table.loc[twice, "image"].unique(), f"rows of {POSITIONS} that contradict each other")
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
            self.images.leave_out(rows.loc[wrong, "image"], f"its place in {POSITIONS} crosses that of its neighbours")
            kept.append(rows[~wrong])
        if total > _MOST_CROSSING * len(table):
            first = next(name for name, why in self.images.unplaced.items() if "crosses" in why)
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
            self.images.warnings += notes
        elif kind == "count":
            if self.images.plan.m_per_count is None:
                raise InputError(
                    f"{file}: has encoder counts; say m_per_count, metres of strip per count, in coil.yaml"
                )
            metres = key * self.images.plan.m_per_count
        else:
            metres = key
        scaled = self.images.plan.unit == "mm"
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
            lengths.append([self.images.extent(name, self.images.seen_by(str(camera)))[0] for name in rows["image"]])
        moved = np.concatenate(steps)
        moved = moved[moved > 0]
        step = float(np.median(moved)) if moved.size else 1.0
        self.images.warn(
            f"{file}: gives metres, but coil.yaml has no mm_per_pixel; the usual step from image to image is taken as one"
            " frame, so overlaps are not shown"
        )
        return metres / step * float(np.median(np.concatenate(lengths)))

    def across(self, table: pd.DataFrame) -> np.ndarray:
        """Return where each image begins across, in the unit of the plan; nan where the table does not say."""
        scaled = self.images.plan.unit == "mm"
        column = "left_mm" if scaled else "left_px"
        if column in table:
            return _numbers(table[column])
        if not scaled and "left_mm" in table:
            self.images.warn(
                f"{POSITIONS}: gives left_mm, but coil.yaml has no mm_per_pixel; cameras are put side by side"
            )
        return np.full(len(table), np.nan)

    def moving(self, table: pd.DataFrame) -> pd.DataFrame:
        """Drop images that show again what another one shows: a defect there would look like dirt on the lens."""
        kept, number = [], 0
        at_hand = ~table["image"].isin(self.images.absent)
        kept.append(table[~at_hand])
        # A camera that moves across the strip shows something else at each of its places.
        for (camera, _), rows in table[at_hand].groupby(["camera", "across"], sort=False, dropna=False):
            scale = self.images.seen_by(str(camera)).mm_per_px_along or 1.0
            rows = rows.sort_values("begin", kind="stable")
            again = rows["begin"].diff().to_numpy() < 0.01 * scale
            number += int(again.sum())
            kept.append(rows[~again])
        if number:
            verb = "shows" if number == 1 else "show"
            self.images.warn(
                f"{plural(number, 'image')} {verb} again what another one shows (the strip stood still or ran back)"
            )
        return pd.concat(kept)


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


def _numbers(column: pd.Series) -> np.ndarray:
    numbers: np.ndarray = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(float)
    return numbers
