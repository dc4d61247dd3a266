"""A dataset folder: its images, in files or packed, with their labels, and those to be predicted."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from config import Side
from utils.data.annotation_table import read_annotations
from utils.data.annotations import Annotations
from utils.data.bit_depth import BitDepth
from utils.data.folder_layout import IMAGES, LABELS, TEST_TABLE, ignore_table_of, read_class_names
from utils.data.images import read_image
from utils.data.listing import TEST_IMAGES, TRAIN_IMAGES, as_name, image_names
from utils.data.packed import Pack, open_pack, packed_image
from utils.data.submission import SAMPLE, read_layout
from utils.data.tables import CLASSES_FILE, AnnotationError, read_listed
from utils.errors import InputError
from utils.files import link_or_copy


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

    def place(self, name: str, target: Path) -> None:
        """Put an image to another place too, as a second name of its file where that can be; the folder is made."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.is_packed(name):
            target.write_bytes(self.path(name).read_bytes())
        else:
            link_or_copy(self.path(name), target)

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
    ignore_table = annotations.source.with_name(ignore_table_of(annotations.source))
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
