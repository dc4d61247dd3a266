"""Walk once through a dataset folder, or through its labels alone, and gather every figure on the way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from config import ExploreConfig
from utils.data import rle
from utils.data.annotation_table import read_annotations
from utils.data.annotations import Annotations
from utils.data.checks import in_order, thread_count
from utils.data.dataset_folder import Dataset, has_images, names_of_images, open_dataset
from utils.data.duplicates.groups import near_duplicate_groups
from utils.data.exploration.images import ImageLight, ImageStatistics, ImageTally, measure_light
from utils.data.exploration.labels import ImageLabels, LabelStatistics, LabelTally, grid_of, measure_labels
from utils.data.folder_layout import LABELS, read_class_names
from utils.data.images import ImageError, measure_depth, read_size
from utils.data.tables import AnnotationError
from utils.errors import InputError

SAMPLED = 25  # images whose headers are read beforehand, to choose the shape of the maps
TABLE = LABELS["train"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Exploration:
    """What a dataset folder holds.

    Attributes:
        root: the folder.
        annotations: its table.
        labels: figures of the labels.
        dataset: the folder with its images; None when there are only labels.
        images: figures of the images; None when there are only labels.
        groups: image name -> group of near-duplicates; None when they were not looked for.
        clean_known: whether images without a defect are known; labels alone may list only those with one.
    """

    root: Path
    annotations: Annotations
    labels: LabelStatistics
    dataset: Dataset | None
    images: ImageStatistics | None
    groups: dict[str, int] | None
    clean_known: bool

    def largest_groups(self, most: int) -> list[list[str]]:
        """Return the groups of two and more near-duplicates, the largest first, at most ``most`` of them."""
        members: dict[int, list[str]] = {}
        for name, group in (self.groups or {}).items():
            members.setdefault(group, []).append(name)
        return sorted((m for m in members.values() if len(m) > 1), key=lambda m: (-len(m), m))[:most]

    def defective_share(self) -> float | None:
        """Return the share 0..1 of defective pixels in the images that have a defect; None when sizes are unknown."""
        labels = self.labels
        with_defect = labels.images - labels.clean
        if not labels.pixels or not with_defect:
            return None
        if self.images is None:  # all have one size
            return labels.union / (labels.pixels / labels.images * with_defect)
        table = self.images.table
        shown = table[table["image"].isin(set(labels.areas["image"]))]
        return labels.union / int((shown["height"] * shown["width"]).sum())

    def image_table(self) -> pd.DataFrame:
        """Return what each image shows.

        Returns:
            One row an image, by name: image, height and width (pixels, where there are images), classes (their number)
            and for each class a column of its name with its pixels.
        """
        areas = self.labels.areas.pivot_table(index="image", columns="class_id", values="area", aggfunc="sum")
        areas = areas.reindex(columns=range(1, len(self.labels.class_names) + 1)).set_axis(
            self.labels.class_names, axis=1
        )
        names = sorted(self.annotations.listed) if self.images is None else sorted(self.images.table["image"])
        areas = areas.reindex(names).fillna(0).astype(np.int64)
        sizes = (
            [] if self.images is None else [self.images.table.set_index("image")[["height", "width"]].reindex(names)]
        )
        classes = (areas > 0).sum(axis=1).rename("classes")
        return pd.concat([*sizes, classes, areas], axis=1).rename_axis("image").reset_index()

    def to_dict(self) -> dict[str, Any]:
        """Return every figure in words and numbers that JSON can hold; None for what is not known."""
        labels, images = self.labels, self.images
        areas, defects = labels.area_table(), labels.defect_table()
        return {
            "dir": str(self.root),
            "images": labels.images,
            "clean": labels.clean if self.clean_known else None,
            "with_defect": labels.images - labels.clean,
            "classes": [
                {
                    "name": name,
                    "images": int(count),
                    "pixels": int(pixels),
                    "area": _plain(areas.iloc[k]),
                    "defect_area": None if defects is None else _plain(defects.iloc[k]),
                }
                for k, (name, count, pixels) in enumerate(
                    zip(labels.class_names, labels.images_per_class(), labels.pixels_per_class(), strict=True)
                )
            ],
            "images_per_number_of_classes": labels.images_per_number().tolist(),
            "together": labels.together().tolist(),
            "pixels": labels.pixels,
            "defect_pixels": labels.union,
            "defective_share_of_defective_images": self.defective_share(),
            "background_pixels": labels.background,
            "too_few_for_percentiles": labels.few(),
            "maps": None if labels.maps is None else labels.maps.round(5).tolist(),
            "sizes": None if images is None else images.sizes().to_dict("records"),
            "bit_depth": None if self.dataset is None else self.dataset.depth.text() or None,
            "colour_images": None if images is None else int(images.table["colour"].sum()),
            "light": None if images is None else {k: _plain(row) for k, row in images.light_table().iterrows()},
            "grey": None if images is None else [_plain(row) for _, row in images.grey_table().iterrows()],
            "near_duplicates": None if self.groups is None else self.largest_groups(len(self.groups)),
        }


def _plain(row: pd.Series) -> dict[str, float | None]:
    """Return a row of numbers as a dict; None for NaN, whole numbers as such."""
    return {
        str(key): None if np.isnan(value) else int(value) if float(value).is_integer() else float(value)
        for key, value in row.items()
    }


def explore_folder(config: ExploreConfig, progress: bool = True) -> Exploration:
    """Gather the figures of a dataset folder; memory grows by a few numbers an image.

    Args:
        config: folder, image size where no image tells it, threads.
        progress: show a bar when standard error is a terminal.

    Raises:
        InputError: the folder or its table is missing or malformed, an image is damaged, or a code does not fit its image.
    """
    root = config.dir
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; -dir expects a folder with {TABLE}")
    if has_images(root, "train") and names_of_images(root, "train"):
        if config.image_size is not None:
            raise InputError("-image_size: the images tell their sizes themselves; leave it out")
        dataset = open_dataset(root)
        depth = measure_depth(dataset.paths(dataset.images), dataset.depth.overruled(config.bit_depth))
        return _with_images(replace(dataset, depth=depth), config, progress)
    return _labels_alone(root, config, progress)


def _with_images(dataset: Dataset, config: ExploreConfig, progress: bool) -> Exploration:
    annotations = dataset.annotations
    sampled = [read_size(dataset.path(name)) for name in dataset.images[:: max(1, len(dataset.images) // SAMPLED)]]
    height, width = np.median(sampled, axis=0).astype(int).tolist()
    grid = grid_of((height, width))
    labels, light = LabelTally(annotations.class_names, grid), ImageTally(annotations.num_classes)

    def measure(name: str) -> tuple[ImageLabels, ImageLight] | InputError:
        codes = annotations.runs(name)
        try:
            image = dataset.read(name)
            return (
                _measured(annotations, name, image.shape[:2], grid),
                measure_light(image, codes, annotations.num_classes),
            )
        except (ImageError, AnnotationError) as error:
            return error

    problems = []
    for name, found in _walk(measure, dataset.images, config.num_of_workers, progress, "measuring images"):
        if isinstance(found, InputError):
            problems.append(found)
        else:
            labels.add(name, found[0])
            light.add(name, found[1])
    if problems:
        hint = f" (one of {len(problems)} problems; Prepare_data.py check -dir {dataset.root} lists all)"
        raise InputError(f"{problems[0]}{hint if len(problems) > 1 else ''}")
    images = light.statistics()
    groups = near_duplicate_groups(dataset, config.num_of_workers, progress) if config.near_duplicates else None
    return Exploration(dataset.root, annotations, labels.statistics(images.pixels), dataset, images, groups, True)


def _labels_alone(root: Path, config: ExploreConfig, progress: bool) -> Exploration:
    annotations = read_annotations(root / TABLE, read_class_names(root))
    size = config.image_size
    grid = None if size is None else grid_of(size)
    labels = LabelTally(annotations.class_names, grid)
    names = sorted(annotations.listed)

    def measure(name: str) -> ImageLabels:
        try:
            return _measured(annotations, name, size, grid)
        except AnnotationError as error:
            remedy = f"{error.remedy}, or correct -image_size"
            raise AnnotationError(error.file, error.reason, remedy, error.row) from None

    for name, found in _walk(measure, names, config.num_of_workers, progress, "measuring labels"):
        labels.add(name, found)
    pixels = None if size is None else size[0] * size[1] * len(names)
    statistics = labels.statistics(pixels)
    return Exploration(root, annotations, statistics, None, None, None, statistics.clean > 0)


def _measured(
    annotations: Annotations, name: str, size: tuple[int, int] | None, grid: tuple[int, int] | None
) -> ImageLabels:
    codes = annotations.runs(name)
    try:
        return measure_labels(codes, size) if grid is None else measure_labels(codes, size, grid)
    except rle.RleError:
        for class_id, text in codes.items():  # name the row
            try:
                rle.parse(text, *(size or (None, None)))
            except rle.RleError as error:
                raise annotations.error(name, class_id, error) from None
        raise


def _walk(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int | None, progress: bool, what: str
) -> Iterator[tuple[Item, Result]]:
    """Do the work in threads and give item and result in order; only a few results wait at any time."""
    bar: Iterable[Item] = tqdm(items, what, unit=" images", disable=None if progress else True)
    return in_order(work, bar, thread_count(workers))
