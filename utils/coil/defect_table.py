"""Read the defects of an earlier prediction, or the boxes of any detector, from a table; and what it tells of its images."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from config import Url
from utils.coil.frames import Size
from utils.coil.names import camera_name, numbers_of
from utils.coil.position_table import listed_images
from utils.data.parts import OK, image_columns, is_parts, read_rows
from utils.data.tables import AnnotationError, read_table
from utils.errors import InputError
from utils.settings import nearest
from utils.text import plural

DEFECT = "defect"  # class of boxes without one

# What the columns may be called, the first that there is counts.
_IMAGE = ("image", "ImageId", "file", "filename", "frame")
_BOXES = (
    ("x", "y", "width", "height"),
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_CLASS = ("name", "class_name", "class", "label", "class_id", "ClassId")
_AREA = ("area_px", "area")
_PROBABILITY = ("mean_probability", "probability", "score", "confidence")
# Columns that tell one coil, or one side of it, from another.
_COILS = ("coil", "sheet", "plate", "strip", "side")
_LAYOUT = (
    "image,name,area_px,x,y,width,height,mean_probability, as Predict_masks.py writes it, or camera,frame,x0,y0,x1,y1"
)
_FORMULA = re.compile(r"'(?=[=+\-@\t\r])")
# Tables list frames with defects only. More frames without any than this, for each with one, are not believed.
_MOST_EMPTY = 1000


@dataclass(frozen=True, eq=False)
class DefectTable:
    """Defects of many images.

    Attributes:
        source: the file.
        defects: image, camera (empty: not said), class_name, x, y, width, height, area_px, probability (nan: not said).
        by_frame: images are numbers of frames, and have no names of files.
        notes: what is missing in the table and what was made of it, a line each.
        sizes: height and width of every image, those without a defect too; none: the table does not tell.
        cameras: of the same images.
        skipped: images that the prediction skipped, and why.
    """

    source: Path | Url
    defects: pd.DataFrame
    by_frame: bool
    notes: tuple[str, ...] = ()
    sizes: Mapping[str, Size] | None = None
    cameras: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def class_names(self) -> list[str]:
        """Names of the classes that there are."""
        return sorted(self.defects["class_name"].unique())


def read_defects(file: Path | Url, where: Sequence[str] = ()) -> DefectTable:
    """Read a table of defects.

    Args:
        file: CSV, ``docs/coil.md`` says what its columns may be called; or the folder of a prediction in shards.
        where: ``COLUMN=VALUE``, rows that count; several columns must all agree.

    Raises:
        InputError: not such a table, a value that is none, or several coils in one table.
    """
    if is_parts(file):
        return _from_parts(file, where)
    if isinstance(file, Url):
        raise InputError(f"-defects {file}: tables are read from disks; copy it to one, or name a prediction in shards")
    try:
        table = read_table(file)
    except AnnotationError as error:
        row = "" if error.row is None else f", row {error.row}"
        raise InputError(f"{file}{row}: {error.reason}; expected a table {_LAYOUT}") from None
    if len(set(table.columns)) < len(table.columns):
        raise InputError(f"{file}: two columns have the same name; rename or remove one of them")
    return _read(file, _chosen(file, table, where))


def _from_parts(place: Path | Url, where: Sequence[str]) -> DefectTable:
    """Read the defects of a prediction in shards, and the sizes of all its images."""
    asked = [(word, *word.partition("=")[::2]) for word in where]
    own = set(image_columns().names) - {"image"}
    images, defects, seen = [], [], dict.fromkeys(where, False)
    skipped: list[tuple[str, str]] = []
    for part in read_rows(place, "-defects"):
        rows = part.to_pandas()
        more = [column for column in rows if column not in own and column != "image"]
        rows[more] = rows[more].astype(str)
        for word, column, value in asked:
            if "=" not in word:
                raise InputError(f"-where {word}: expected COLUMN=VALUE")
            if column not in more:
                raise InputError(f"-where {word}: {place} has no column {column}{nearest(column, more)}")
            rows = rows[rows[column].str.strip() == value]
            seen[word] |= len(rows) > 0
        failed = rows[rows["status"] != OK]
        skipped += zip(failed["image"], failed["reason"], strict=True)
        rows = rows[rows["status"] == OK]
        images.append(rows[["image", "height", "width", *more]])
        found = rows[["image", *more, "defects"]].explode("defects").dropna(subset=["defects"])
        boxes = pd.DataFrame(found.pop("defects").tolist(), index=found.index)
        defects.append(found.join(boxes))
    for word, some in seen.items():
        if not some:
            raise InputError(f"-where {word}: no such value in {place}")
    listed = _chosen(place, pd.concat(images, ignore_index=True), ())
    table = pd.concat(defects, ignore_index=True)
    table = table.drop(columns=["rle"], errors="ignore").astype(str)
    if table.empty:
        table = pd.DataFrame(columns=["image", "name", "area_px", *_BOXES[0], "mean_probability"], dtype=str)
    names = listed["image"].tolist()
    sides = zip(listed["height"].astype(int), listed["width"].astype(int), strict=True)
    told = listed["camera"].str.strip().map(camera_name) if "camera" in listed else listed["image"].map(_folder_of)
    return replace(
        _read(place, table),
        sizes=dict(zip(names, sides, strict=True)),
        cameras=dict(zip(names, told, strict=True)),
        skipped=tuple(skipped),
    )


def _folder_of(image: str) -> str:
    return image.rpartition("/")[0]


def _read(file: Path | Url, table: pd.DataFrame) -> DefectTable:
    """Make a table of text one of defects."""
    image, box = _first(table, _IMAGE), next((names for names in _BOXES if set(names) <= set(table.columns)), None)
    if image is None or box is None:
        what = "images (image, or camera and frame)" if image is None else "boxes (x,y,width,height or x0,y0,x1,y1)"
        raise InputError(f"{file}: no columns of {what}; expected a table {_LAYOUT}")
    notes = []
    numbers = np.column_stack([_numbers(table[name]) for name in box]).reshape(-1, 4)
    if box != _BOXES[0]:
        numbers[:, 2:] -= numbers[:, :2]
    bad = ~np.isfinite(numbers).all(axis=1) | (numbers[:, 2:] <= 0).any(axis=1)
    if bad.any():
        rows = f"{plural(int(bad.sum()), 'row')} without a box (the first: row {table.index[bad][0]})"
        if bad.all():
            raise InputError(f"{file}: {rows}, and none with one; expected a table {_LAYOUT}")
        notes.append(f"{file}: {rows} left out")
    table, numbers = table[~bad], numbers[~bad]
    cameras = table["camera"].str.strip().map(camera_name) if "camera" in table else pd.Series("", table.index)
    images = table[image].str.strip()
    by_frame = image == "frame"
    if by_frame:
        images = _frame_images(cameras, images.map(camera_name))
    area, sure, kind = (_first(table, names) for names in (_AREA, _PROBABILITY, _CLASS))
    areas = _numbers(table[area]) if area else np.full(len(table), np.nan)
    if area is None:
        notes.append(f"{file}: tells no areas; that of its box is taken for each defect's")
    areas = np.where(areas > 0, areas, numbers[:, 2] * numbers[:, 3])
    if kind is None:
        notes.append(f"{file}: tells no classes; all are called {DEFECT}")
    names = table[kind].str.strip() if kind else pd.Series(DEFECT, table.index)
    defects = pd.DataFrame(
        {
            "image": _plain(images),
            "camera": cameras,
            "class_name": _plain(names).replace("", DEFECT),
            **{name: numbers[:, place] for place, name in enumerate(_BOXES[0])},
            "area_px": areas,
            "probability": _numbers(table[sure]) if sure else np.nan,
        }
    )
    return DefectTable(file, defects.reset_index(drop=True), by_frame, tuple(notes))


def images_of(
    table: DefectTable, folder: Path | None, frame_size: Size | None
) -> tuple[dict[str, Size], dict[str, str], list[str]]:
    """Work out which images there were, where none of them is at hand.

    Args:
        table: of defects.
        folder: of the coil, where ``positions.csv`` may list all images; none: there is no such table.
        frame_size: height and width of every image in pixels; none: not known.

    Returns:
        Image -> size, image -> camera, and what was guessed, a line each.

    Raises:
        InputError: the table does not tell which images there were.
    """
    notes: list[str] = []
    if table.sizes is not None:
        sizes = dict(table.sizes) if frame_size is None else dict.fromkeys(table.sizes, frame_size)
        return sizes, dict(table.cameras), notes
    pairs = table.defects[["image", "camera"]].drop_duplicates()
    cameras = dict(zip(pairs["image"], pairs["camera"], strict=True))
    if len(cameras) < len(pairs):
        twice = pairs["image"][pairs["image"].duplicated()].iloc[0]
        raise InputError(f"{table.source}: image {twice} is of several cameras; give each image a name of its own")
    size = frame_size
    if size is None:
        size = _size_from(table)
        notes.append(
            f"{table.source}: tells no size of the images; {size[0]}x{size[1]} pixels, high and wide, is what its boxes"
            " reach (-frame_size H,W says it)"
        )
    listed = listed_images(folder) if folder is not None else {}
    if not listed:
        filled = _fill(table.source, cameras)
        if len(filled) > len(cameras):
            notes.append(
                f"{table.source}: lists images with defects only; {plural(len(filled) - len(cameras), 'image')} between"
                " them count as seen and without defect"
            )
        cameras = filled
    return dict.fromkeys({**listed, **cameras}, size), cameras, notes


def _fill(source: Path | Url, cameras: Mapping[str, str]) -> dict[str, str]:
    """Add the images without defects, which the table does not list: those of all numbers from 1 to the last one."""
    if not cameras:
        raise InputError(
            f"{source}: lists no defects, so nothing tells which images there were; give their folder, or one with"
            " positions.csv, with -dir"
        )
    groups: dict[str, list[str]] = {}
    for image, camera in cameras.items():
        groups.setdefault(camera, []).append(image)
    counted = {camera: numbers_of(images) for camera, images in groups.items()}
    if any(numbers is None for numbers in counted.values()):
        raise InputError(
            f"{source}: the images' names do not number them ({groups[next(iter(groups))][0]}), so nothing tells where they"
            " lie; give their folder, or one with positions.csv, with -dir"
        )
    spans = [(int(numbers.min()), int(numbers.max())) for numbers in counted.values() if numbers is not None]
    low, last = min(pair[0] for pair in spans), max(pair[1] for pair in spans)
    # Frames are counted from 1, or 0, unless the first number is so high that they hardly were.
    first = min(low, 1) if low <= last // 2 + 1 else low
    if last - first >= _MOST_EMPTY + _MOST_EMPTY * max(map(len, groups.values())):
        raise InputError(
            f"{source}: the numbers of the images go from {low} to {last}, and hardly any has a defect; say where the images"
            " lie in positions.csv, in the folder of -dir"
        )
    filled = {}
    for camera, images in groups.items():
        numbers = counted[camera]
        assert numbers is not None
        named = dict(zip(numbers.tolist(), images, strict=True))
        before, digits, after = _parts(images[0])
        for number in range(first, last + 1):
            filled[named.get(number, f"{before}{number:0{digits}d}{after}")] = camera
    return filled


def _parts(image: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", Path(image).stem, re.DOTALL)
    assert match is not None, "``numbers_of`` found its number"
    begin = image[: len(image) - len(Path(image).name)]
    return begin + match[1], len(match[2]) if match[2].startswith("0") else 1, match[3] + Path(image).suffix


def _size_from(table: DefectTable) -> Size:
    """Guess the size of the images from what the boxes reach; they may reach beyond by as much on all sides."""
    boxes = table.defects
    if boxes.empty:
        return (1, 1)
    reach = [
        float((boxes[low] + boxes[size]).max() + min(boxes[low].min(), 0))
        for low, size in (("y", "height"), ("x", "width"))
    ]
    height, width = (max(1, int(np.ceil(one))) for one in reach)
    return height, width


def clipped(defects: pd.DataFrame, sizes: Mapping[str, Size]) -> tuple[pd.DataFrame, list[str]]:
    """Cut boxes at the borders of their images; those outside are left out, and no area is larger than its box.

    Returns:
        The defects, and what was left out or cut, a line each. Those of images without a size are kept as they are.
    """
    known = np.array([image in sizes for image in defects["image"]], bool)
    sides = np.array([sizes.get(image, (0, 0)) for image in defects["image"]], dtype=float).reshape(-1, 2)
    found = defects.copy()
    for low, length, side in (("x", "width", sides[:, 1]), ("y", "height", sides[:, 0])):
        begin = np.clip(defects[low].to_numpy(float), 0, side)
        end = np.clip((defects[low] + defects[length]).to_numpy(float), 0, side)
        found[low], found[length] = begin, end - begin
    box = (found["width"] * found["height"]).to_numpy(float)
    # Half a pixel more: tables round.
    larger = known & (found["area_px"].to_numpy(float) > box + 0.5)
    found["area_px"] = np.where(larger, box, found["area_px"].to_numpy(float))
    outside = known & (box <= 0)
    found[~known] = defects[~known]
    notes = []
    if outside.any():
        first = defects["image"].to_numpy()[outside][0]
        notes.append(f"{plural(int(outside.sum()), 'defect')} outside of their image left out (the first: {first})")
    # Programs that count a box's last pixel, or round up, are beyond by one or two.
    lost = (defects[["width", "height"]] - found[["width", "height"]]).max(axis=1).to_numpy(float)
    beyond = known & ~outside & (lost > 2)
    if beyond.any():
        first = defects["image"].to_numpy()[beyond][0]
        notes.append(
            f"{plural(int(beyond.sum()), 'defect', ',')} beyond the borders of the images, cut there (the first: {first}); are"
            " these the images, and is this their size?"
        )
    if (larger & ~outside).any():
        first = defects["image"].to_numpy()[larger & ~outside][0]
        number = plural(int((larger & ~outside).sum()), "area")
        notes.append(f"{number} larger than the box within its image; that of the box is taken (the first: {first})")
    return found[~outside], notes


def _chosen(file: Path | Url, table: pd.DataFrame, where: Sequence[str]) -> pd.DataFrame:
    for word in where:
        column, sign, value = word.partition("=")
        if not sign:
            raise InputError(f"-where {word}: expected COLUMN=VALUE")
        if column not in table:
            raise InputError(f"-where {word}: {file} has no column {column}{nearest(column, list(table.columns))}")
        own = table[column].str.strip()
        if not (own == value).any():
            raise InputError(f"-where {word}: no such value in {file}; it has {_some(own.unique())}")
        table = table[own == value]
    for column in _COILS:
        if column in table and table[column].str.strip().nunique() > 1:
            values = table[column].str.strip().unique()
            raise InputError(
                f"{file}: column {column} has {len(values)} values ({_some(values)}); choose one: -where"
                f" {','.join([*where, f'{column}={values[0]}'])}"
            )
    return table


def _frame_images(cameras: pd.Series, frames: pd.Series) -> pd.Series:
    """Name images that have a number only: ``3/0012`` is frame 12 of camera 3."""
    if not frames.str.fullmatch(r"\d+").all():
        return frames
    return (cameras + "/").where(cameras != "", "") + frames


def _plain(column: pd.Series) -> pd.Series:
    """Take off the sign that tables have before what a spreadsheet would compute."""
    return column.map(lambda word: _FORMULA.sub("", word, count=1) if word[:1] == "'" else word)


def _first(table: pd.DataFrame, names: Iterable[str]) -> str | None:
    return next((name for name in names if name in table), None)


def _numbers(column: pd.Series) -> np.ndarray:
    numbers: np.ndarray = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(float)
    return numbers


def _some(values: Sequence[str] | np.ndarray) -> str:
    more = f" and {len(values) - 4} more" if len(values) > 4 else ""
    return ", ".join(map(str, values[:4])) + more
