"""Which image has which defect where, and the dataset folder that it belongs to."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from config import Side
from utils.data import rle
from utils.data.bit_depth import BitDepth
from utils.data.images import read_image
from utils.data.label_rows import LabelRows, well_formed
from utils.data.listing import TEST_IMAGES, TRAIN_IMAGES, as_name, image_names
from utils.data.packed import Pack, open_pack, packed_image
from utils.data.rectangles import Rectangles, draw
from utils.data.submission import SAMPLE, read_layout
from utils.data.tables import (
    CLASSES_FILE,
    AnnotationError,
    class_number,
    is_filler,
    read_listed,
    read_table,
    require_columns,
    write_frame,
)
from utils.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# Of each side of a dataset folder: the folder of its images, and the table of their labels.
IMAGES: dict[Side, str] = {"train": TRAIN_IMAGES, "test": TEST_IMAGES}
LABELS: dict[Side, str] = {"train": "train.csv", "test": "test_labels.csv"}
# Pixels that count neither in the loss nor in scores, ImageId,EncodedPixels; the table may be missing.
IGNORED: dict[Side, str] = {"train": "ignore.csv", "test": "test_ignore.csv"}
TEST_TABLE = "test.csv"  # lists the test images


@dataclass(frozen=True)
class Annotations:
    """The defects of a set of images.

    Attributes:
        rows: one row per image and class with a defect, columns image (str), class_id (int64, from 1), rle (str, not
            empty; of a large table read when asked for, see ``CodesInFile``), row (int64, the row in the file, 0 when made in memory); sorted by image and class.
        listed: names that the table lists, with or without a defect, in file order.
        class_names: name of class k is ``class_names[k - 1]``.
        source: the file, for messages.
        ignored: image -> run-length code of the pixels whose class nobody knows, of images that have such; they count
            neither in the loss nor in scores, whatever the rows say of them.
        fillers: rows of the file that have a word for no defect, such as ``-1`` or ``nan``, instead of an empty code.
    """

    rows: "pd.DataFrame"
    listed: tuple[str, ...]
    class_names: tuple[str, ...]
    source: Path = field(default=Path("annotations"))
    ignored: Mapping[str, str] = field(default_factory=dict)
    fillers: int = 0

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def _places(self) -> tuple[dict[str, int], np.ndarray, np.ndarray, Any]:
        """Where the rows of each image begin, by its name; behind which row they end; classes and codes."""
        from utils.data.codes_in_file import CodesInFile  # pandas takes half a second, which prediction need not wait

        images = self.rows["image"].to_numpy(dtype=object)
        change = np.ones(len(images), dtype=np.bool_)
        change[1:] = images[1:] != images[:-1]
        first = np.flatnonzero(change)
        length = np.diff(np.append(first, len(images)))
        ends = (first + length).repeat(length)
        # One number an image, and no dict: a million of those take most of a GB.
        begin = dict(zip(images[first].tolist(), first.tolist(), strict=True))
        codes = self.rows["rle"].array
        codes = codes if isinstance(codes, CodesInFile) else codes.to_numpy(dtype=object)
        return begin, ends, self.rows["class_id"].to_numpy(), codes

    def runs(self, image: str) -> dict[int, str]:
        """Return the run-length code of each class that the image has; {} for a clean image."""
        begin, ends, classes, codes = self._places
        place = begin.get(image)
        if place is None:
            return {}
        return {int(classes[row]): str(codes[row]) for row in range(place, ends[place])}

    def classes(self, image: str) -> list[int]:
        """Return the classes that an image shows, sorted; codes of a large table are not read for them."""
        begin, ends, classes, _ = self._places
        place = begin.get(image)
        return [] if place is None else classes[place : ends[place]].tolist()

    def mask(self, image: str, height: int, width: int) -> np.ndarray:
        """Draw the mask of an image.

        Args:
            image: file name.
            height: of the image, pixels.
            width: of the image, pixels.

        Returns:
            (H, W, C) uint8 of 0 and 1; channel k - 1 is class k.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        return draw(self.defects(image, height, width))

    def defects(self, image: str, height: int, width: int) -> list[Rectangles]:
        """Return where the defects of an image are, without drawing them.

        Args:
            image: file name.
            height: of the image, pixels.
            width: of the image, pixels.

        Returns:
            C classes, those without a defect too; k - 1 is class k.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        codes = self.runs(image)
        defects = []
        for class_id in range(1, self.num_classes + 1):
            try:
                runs = rle.parse(codes.get(class_id, ""), height, width)
            except rle.RleError as error:
                raise self.error(image, class_id, error) from None
            defects.append(Rectangles.of_runs(runs, height, width))
        return defects

    def ignored_part(self, image: str, height: int, width: int) -> Rectangles | None:
        """Return where the ignored pixels of an image are; None when it has none.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        code = self.ignored.get(image)
        if not code:
            return None
        try:
            return Rectangles.of_runs(rle.parse(code, height, width), height, width)
        except rle.RleError as error:
            file = self.source.with_name(_ignore_table_of(self.source))
            raise AnnotationError(file, f"{image}: {error}", "correct or remove the row") from None

    def ignored_mask(self, image: str, height: int, width: int) -> np.ndarray | None:
        """Draw the ignored pixels of an image, ``(H, W)`` bool; None when it has none.

        Raises:
            AnnotationError: a run does not fit the image.
        """
        part = self.ignored_part(image, height, width)
        return None if part is None else draw([part])[..., 0].astype(np.bool_)

    def error(self, image: str, class_id: int, error: rle.RleError) -> AnnotationError:
        """Put file, row, image and class before what is wrong with a run-length code."""
        match = self.rows[(self.rows["image"] == image) & (self.rows["class_id"] == class_id)]
        row = int(match["row"].iloc[0]) if len(match) and "row" in match else 0
        reason = f"{image} class {class_id}: {error}"
        return AnnotationError(self.source, reason, "correct or remove the row", row or None)


@dataclass(frozen=True)
class Dataset:
    """A dataset folder.

    Attributes:
        root: the folder.
        image_dir: folder of the images.
        images: their names, paths relative to ``image_dir`` with forward slashes, sorted.
        annotations: the defects; an image without a row is clean.
        depth: how images with more than 8 bits become 0..255; what it leaves open is measured on each by itself.
        pack: that holds the images; None: they are files.
        side: of the dataset folder.
    """

    root: Path
    image_dir: Path
    images: tuple[str, ...]
    annotations: Annotations
    depth: BitDepth = BitDepth()
    pack: Pack | None = None
    side: Side = "train"

    def path(self, name: str) -> Path:
        """Return the path of an image, which need not be a file of its own: see ``PackedImage``."""
        row = None if self.pack is None else self.pack.side(self.side).find(name)
        if self.pack is None or row is None:
            return self.image_dir / name
        return packed_image(self.pack, self.side, self.image_dir, row)

    def is_packed(self, name: str) -> bool:
        """Check whether an image lies in the pack; those without labels that a teacher answers about are files."""
        return self.pack is not None and self.pack.side(self.side).has(name)

    def paths(self, names: Sequence[str]) -> "ImagePaths":
        """Return the paths of images, each made when it is asked for."""
        return ImagePaths(self, names)

    def read(self, name: str, channels: int = 3) -> np.ndarray:
        """Read an image by the data set's bit depth; see ``read_image``."""
        return read_image(self.path(name), channels, self.depth)


@dataclass(frozen=True)
class ImagePaths(Sequence[Path]):
    """The paths of some images, of which none is kept: a million of them take half a GB."""

    dataset: Dataset
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return ImagePaths(self.dataset, self.names[place])
        return self.dataset.path(self.names[place])


def has_images(root: Path, side: Side) -> bool:
    """Check whether a dataset folder has images of a side, in a folder or packed."""
    pack = open_pack(root)
    return (root / IMAGES[side]).is_dir() if pack is None else side in pack.sides


def names_of_images(root: Path, side: Side) -> tuple[str, ...]:
    """List the names of the images of a side, sorted; see ``image_names``."""
    pack = open_pack(root)
    return tuple(image_names(root / IMAGES[side])) if pack is None else pack.side(side).names


def read_annotations(
    csv: Path, class_names: tuple[str, ...] | None = None, problems: list[AnnotationError] | None = None
) -> Annotations:
    """Read a table in either published layout; extra columns are ignored, an empty code or a filler means clean.

    Args:
        csv: ``ImageId,ClassId,EncodedPixels`` or ``ImageId_ClassId,EncodedPixels``. The pixels that do not count are
            read from ``ignore.csv`` beside ``train.csv``, ``test_ignore.csv`` beside ``test_labels.csv``.
        class_names: names in order of the class numbers, which the table may have instead of the numbers; None:
            "1".."C" with C the largest class of the table.
        problems: a list that takes malformed rows, which are then left out; None: the first one is raised.

    Returns:
        The table, every code validated but for the image's end (sizes are not known here; ``check`` does that).

    Raises:
        AnnotationError: anything malformed; names file, row, reason and remedy.
    """
    from utils.data.codes_in_file import CodesInFile
    from utils.data.large_table import read_labels

    table = read_labels(csv)
    joined = "ImageId_ClassId" in table and "ClassId" not in table
    require_columns(csv, table, [*(["ImageId_ClassId"] if joined else ["ImageId", "ClassId"]), "EncodedPixels"])
    if joined:
        parts = [_split_joined(text.strip(), class_names) for text in table["ImageId_ClassId"]]
        # A name without a class has nothing before its "_"; keep it for the message.
        names = [name if mark else word for name, mark, word in parts]
        classes = [word if mark else "" for _, mark, word in parts]
    else:
        names, classes = (table[column].str.strip().tolist() for column in ("ImageId", "ClassId"))
    folder = _images_of(csv)
    names = [as_name(name, folder) for name in names]
    texts = table["EncodedPixels"].array
    column = texts if isinstance(texts, CodesInFile) else texts.tolist()
    found = well_formed(csv, table.index.to_numpy(), names, classes, column, class_names, joined)
    if found is None:
        found = _one_by_one(csv, table, names, classes, class_names, joined, problems)
    if class_names is None:
        if not found.largest:
            raise AnnotationError(csv, "no row has a class", f"add rows, or name the classes in {CLASSES_FILE}")
        class_names = tuple(str(k) for k in range(1, found.largest + 1))
    ignored = {}
    if csv.name in LABELS.values():
        ignored = read_ignored(csv.with_name(_ignore_table_of(csv)), problems)
    return Annotations(found.rows, tuple(dict.fromkeys(names)), class_names, csv, ignored, found.fillers)


def _one_by_one(
    csv: Path,
    table: "pd.DataFrame",
    names: list[str],
    classes: list[str],
    class_names: tuple[str, ...] | None,
    joined: bool,
    problems: list[AnnotationError] | None,
) -> LabelRows:
    """Read the rows of a table of which some are malformed, and name these."""
    records: list[tuple[str, int, str, int]] = []
    first_row: dict[tuple[str, int], int] = {}
    fillers = 0
    for row, name, word, text in zip(table.index, names, classes, table["EncodedPixels"], strict=True):
        if is_filler(text):
            fillers += bool(text.strip())
            text = ""
            word = "" if is_filler(word) and not joined else word
        try:
            if joined and not word:
                reason = f"{name!r} in ImageId_ClassId has no class"
                raise AnnotationError(csv, reason, "write IMAGE_CLASS, as in 0002cc93b.jpg_1", row)
            class_id = _validated(csv, row, name, word, text, class_names, first_row)
        except AnnotationError as problem:
            if problems is None:
                raise
            problems.append(problem)
        else:
            if text.strip():
                records.append((name, class_id, text.strip(), row))
    largest = max((class_id for _, class_id in first_row), default=0)
    return LabelRows(make_rows(records), largest, fillers)


def _split_joined(text: str, class_names: tuple[str, ...] | None) -> tuple[str, str, str]:
    """Split ``IMAGE_CLASS`` into image, ``_`` and class, which may be a name that has ``_`` itself."""
    longest = max((name for name in class_names or () if text.endswith(f"_{name}")), key=len, default=None)
    return (text[: -len(longest) - 1], "_", longest) if longest else text.rpartition("_")


def read_ignored(csv: Path, problems: list[AnnotationError] | None = None) -> dict[str, str]:
    """Read the pixels that count neither in the loss nor in scores; {} when there is no such table.

    Args:
        csv: ``ImageId,EncodedPixels``, a row for an image.
        problems: a list that takes malformed rows, which are then left out; None: the first one is raised.

    Raises:
        AnnotationError: anything malformed; names file, row, reason and remedy.
    """
    if not csv.is_file():
        return {}
    table = read_table(csv)
    require_columns(csv, table, ["ImageId", "EncodedPixels"], "expected ImageId,EncodedPixels")
    codes: dict[str, str] = {}
    for row, listed, text in zip(table.index, table["ImageId"].str.strip(), table["EncodedPixels"], strict=True):
        name = as_name(listed, _images_of(csv))
        try:
            if not name or name in codes:
                reason = f"{name} has a row already" if name else "no image name"
                raise AnnotationError(csv, reason, "join or remove the row", row)
            rle.parse(text)
        except (rle.RleError, AnnotationError) as error:
            problem = (
                error
                if isinstance(error, AnnotationError)
                else AnnotationError(csv, f"{name}: {error}", "correct or remove the row", row)
            )
            if problems is None:
                raise problem from None
            problems.append(problem)
        else:
            codes[name] = text.strip()
    return {name: code for name, code in codes.items() if code}


def write_ignored(codes: Mapping[str, str], csv: Path) -> None:
    """Write ``ImageId,EncodedPixels`` as ``read_ignored`` reads it."""
    import pandas as pd

    table = pd.DataFrame(sorted(codes.items()), columns=["ImageId", "EncodedPixels"])
    write_frame(table, csv, formulas=True)


def _ignore_table_of(labels: Path) -> str:
    """Return the name of the table of ignored pixels that belongs to a table of labels."""
    return next((IGNORED[side] for side, name in LABELS.items() if name == labels.name), IGNORED["train"])


def _images_of(table: Path) -> Path:
    """Return the folder of the images that a table of a dataset folder is about."""
    return table.parent / IMAGES["test" if table.name in (LABELS["test"], IGNORED["test"]) else "train"]


def make_rows(records: list[tuple[str, int, str, int]]) -> "pd.DataFrame":
    """Make the sorted rows of ``Annotations`` from (image, class_id, rle, row in the file or 0)."""
    import pandas as pd

    frame = pd.DataFrame(sorted(records), columns=["image", "class_id", "rle", "row"])
    return frame.astype({"image": object, "class_id": np.int64, "rle": object, "row": np.int64})


def write_annotations(annotations: "Annotations | pd.DataFrame", csv: Path) -> None:
    """Write ``ImageId,ClassId,EncodedPixels``, one row per image and class with a defect.

    Args:
        annotations: the table, or its rows (columns image, class_id, rle).
        csv: file to write.
    """
    rows = annotations.rows if isinstance(annotations, Annotations) else annotations
    table = rows[["image", "class_id", "rle"]].set_axis(["ImageId", "ClassId", "EncodedPixels"], axis=1)
    write_frame(table, csv, formulas=True)


def open_dataset(root: Path, side: Side = "train", problems: list[AnnotationError] | None = None) -> Dataset:
    """Open a labelled side of a dataset folder.

    Args:
        root: folder with the images and the table of that side, and perhaps ``classes.txt`` (one name a line).
        side: ``train`` (``train_images/``, ``train.csv``) or ``test`` (``test_images/``, ``test_labels.csv``).
        problems: a list that takes malformed rows, which are then left out; None: the first one is raised.

    Raises:
        InputError: folder or table is missing or malformed, or a row names an image that is not there.
    """
    folder, table, what = IMAGES[side], LABELS[side], "training images" if side == "train" else "test images"
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; -dir expects a folder with {folder}/ and {table}")
    image_dir, pack = root / folder, open_pack(root)
    if not has_images(root, side):
        raise InputError(f"{image_dir}: no such folder; put the {what} there, or run Prepare_data.py convert")
    names = names_of_images(root, side)
    if not names:
        raise InputError(f"{image_dir}: holds no images; put the {what} there")
    annotations = read_annotations(root / table, read_class_names(root), problems)
    there = set(names)
    missing = _missing_images(annotations, image_dir, there)
    if missing and problems is None:
        others = f" (and {len(missing) - 1} more images)" if len(missing) > 1 else ""
        raise AnnotationError(annotations.source, missing[0].reason + others, missing[0].remedy, missing[0].row)
    if missing and problems is not None:
        problems.extend(missing)
        annotations = replace(annotations, rows=annotations.rows[annotations.rows["image"].isin(there)])
    return Dataset(root, image_dir, names, annotations, pack=pack, side=side)


def _missing_images(annotations: Annotations, image_dir: Path, there: set[str]) -> list[AnnotationError]:
    """Name each listed image that is not in the folder, with its first row that has a defect."""
    listed = [name for name in annotations.listed if name and name not in there]
    if not listed and there.issuperset(annotations.ignored):
        return []
    first_row = annotations.rows.groupby("image")["row"].min()
    ignore_table = annotations.source.with_name(_ignore_table_of(annotations.source))
    return [
        AnnotationError(ignore_table, f"{name} not in {image_dir}", "add the image or remove its row")
        for name in annotations.ignored
        if name not in there
    ] + [
        AnnotationError(
            annotations.source,
            f"{name} not in {image_dir}",
            "add the image or remove its rows",
            int(first_row[name]) if name in first_row else None,
        )
        for name in listed
    ]


def read_class_names(root: Path) -> tuple[str, ...] | None:
    """Read ``classes.txt`` of a dataset folder, one name a line; None when there is none."""
    file = root / CLASSES_FILE
    if not file.is_file():
        return None
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise InputError(f"{file}: not UTF-8 text; save it as UTF-8") from None
    names = tuple(line for line in lines if line)
    if not names:
        raise InputError(f"{file}: no class names; write one a line or remove the file")
    if len(set(names)) < len(names):
        raise InputError(f"{file}: a class name occurs twice; names must differ")
    return names


def known_classes(root: Path) -> tuple[tuple[str, ...], Path] | None:
    """Find out which classes a dataset folder has.

    Returns:
        Their names in order, by number where they have none, and the file that says so: ``classes.txt``, else
        ``train.csv`` or ``sample_submission.csv``, whichever knows more. None where no file says it.
    """
    names = read_class_names(root)
    if names is not None:
        return names, root / CLASSES_FILE
    found: list[tuple[int, Path]] = []
    with contextlib.suppress(InputError):  # what is wrong with a table is for those who need it
        found.append((read_annotations(root / LABELS["train"]).num_classes, root / LABELS["train"]))
    with contextlib.suppress(InputError):
        layout = read_layout(root)
        found.append((layout.classes if layout else 0, root / SAMPLE))
    count, source = max(found, key=lambda pair: pair[0], default=(0, root))
    return (tuple(str(k) for k in range(1, count + 1)), source) if count else None


def open_test_images(root: Path) -> list[Path]:
    """List the images of a dataset folder that are to be predicted.

    Returns:
        Those of ``folder_to_predict``; test images in the order of ``test.csv`` or ``sample_submission.csv`` when there is
        one, others by name.

    Raises:
        InputError: neither folder exists or holds an image, or a listed image is missing.
    """
    image_dir = folder_to_predict(root)
    pack = open_pack(root)
    side: Side = "test" if image_dir.name == TEST_IMAGES else "train"
    names = image_names(image_dir) if pack is None else list(pack.side(side).names)
    if not names:
        raise InputError(f"{image_dir}: holds no images")
    csv = _test_list(root)
    if image_dir.name == TEST_IMAGES and csv is not None:
        for missing in missing_test_images(root):
            raise missing
        names = list(_listed_test_images(csv).values())
    if pack is not None:
        return [packed_image(pack, side, image_dir, pack.side(side).row(name)) for name in names]
    return [image_dir / name for name in names]


def folder_to_predict(root: Path) -> Path:
    """Return ``test_images/`` of a dataset folder, ``train_images/`` when it has none.

    Raises:
        InputError: there is neither.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; -dir expects a dataset folder, -images a folder of images")
    sides: tuple[Side, ...] = ("test", "train")
    image_dir = next((root / IMAGES[side] for side in sides if has_images(root, side)), None)
    if image_dir is None:
        raise InputError(
            f"{root}: neither {TEST_IMAGES}/ nor {TRAIN_IMAGES}/; use -images for a plain folder of images"
        )
    return image_dir


def missing_test_images(root: Path) -> list[AnnotationError]:
    """Name each image that ``test.csv`` or ``sample_submission.csv`` lists and that is not in ``test_images/``.

    Raises:
        AnnotationError: the list is malformed.
    """
    csv, folder = _test_list(root), root / TEST_IMAGES
    if csv is None:
        return []
    there = set(names_of_images(root, "test") if open_pack(root) else image_names(folder))
    return [
        AnnotationError(csv, f"{name} not in {folder}", "add the image or remove the row", row)
        for row, name in _listed_test_images(csv).items()
        if name not in there
    ]


def _listed_test_images(csv: Path) -> dict[int, str]:
    """Read the test images that a table of a dataset folder lists: row in the file -> name."""
    return {row: as_name(name, csv.parent / TEST_IMAGES) for row, name in read_listed(csv).items()}


def _test_list(root: Path) -> Path | None:
    return next((root / name for name in (TEST_TABLE, SAMPLE) if (root / name).is_file()), None)


def _validated(
    csv: Path,
    row: int,
    name: str,
    word: str,
    text: str,
    class_names: tuple[str, ...] | None,
    first_row: dict[tuple[str, int], int],
) -> int:
    """Validate one row, note it in ``first_row`` and give its class; 0 when it lists a clean image."""
    if not name:
        raise AnnotationError(csv, "no image name", "name the image or remove the row", row)
    if not word and not text.strip():
        return 0
    class_id = class_number(csv, row, word, class_names)
    earlier = first_row.setdefault((name, class_id), row)
    if earlier != row:
        reason = f"duplicate of row {earlier}: {name} class {class_id}"
        raise AnnotationError(csv, reason, "join both rows into one", row)
    try:
        rle.parse(text)
    except rle.RleError as error:
        reason = f"{name} class {class_id}: {error}"
        raise AnnotationError(csv, reason, "correct or remove the row", row) from None
    return class_id
