"""Ground truth in the terms of a network: one mask for each class that it decides about."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from utils.data import rle
from utils.data.annotation_table import read_annotations
from utils.data.annotations import Annotations
from utils.data.folder_layout import LABELS, read_class_names
from utils.data.listing import TEST_IMAGES
from utils.models.class_names import match
from utils.models.spec import MERGING_TASKS, ModelSpec
from utils.text import plural


class GroundTruth:
    """The labels of a dataset as a network's scored classes.

    Args:
        annotations: the labels.
        spec: the network. For ``MERGING_TASKS`` all classes are merged, whatever their names.
        class_map: what the data calls the network's classes, where that is not the same.

    Attributes:
        annotations: the labels; their classes have the network's names and numbers, but where they are merged.
        class_ids: of each scored class, or label of a classifier, its number in the data.
        unknown: of each class of the data that the network does not know, in their order, the images that have it; none
            where all are merged, or the network is of one class by its task.

    Raises:
        InputError: the network was trained on other classes, see ``class_names.match``.
    """

    def __init__(self, annotations: Annotations, spec: ModelSpec, class_map: tuple[str, ...] | None = None) -> None:
        self.annotations = annotations
        self.spec = spec
        self.merged = spec.task in MERGING_TASKS
        self.class_ids = class_ids(annotations.class_names, spec, class_map, annotations.source)
        self.unknown = {} if self.merged or spec.target is not None else _unknown(annotations, self.class_ids)
        if not self.merged:
            self.annotations = _renumbered(annotations, spec, self.class_ids)

    def left_out(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return a line for each class that some of these images have and the network does not know."""
        names = set(names)
        counts = {name: len(names & images) for name, images in self.unknown.items()}
        return tuple(
            f"class {name} of the data ({plural(count, 'image')}) is not known to the weights and is not scored"
            for name, count in counts.items()
            if count
        )

    def masks(self, name: str, height: int, width: int) -> np.ndarray:
        """Draw the labels of an image.

        Args:
            name: file name; an image without labels is clean.
            height: of the image, pixels.
            width: of the image, pixels.

        Returns:
            ``(C, H, W)`` bool, C scored classes; none of a classifier.

        Raises:
            InputError: a label does not fit the image.
        """
        masks = np.zeros((len(self.spec.scored_names), height, width), dtype=np.bool_)
        if len(masks) and self.annotations.classes(name):
            drawn = self.annotations.mask(name, height, width).transpose(2, 0, 1).view(np.bool_)
            if self.merged:
                masks[:] = drawn.any(axis=0)
            elif self.spec.target_id is not None:
                masks[0] = drawn[self.spec.target_id - 1]
            else:
                masks[:] = drawn
            ignored = self.ignored(name, height, width)
            if ignored is not None:
                masks[:, ignored] = False
        return masks

    def ignored(self, name: str, height: int, width: int) -> np.ndarray | None:
        """Draw the pixels of an image that count in no score: ``(H, W)`` bool, or None when all count.

        Raises:
            InputError: a label does not fit the image.
        """
        return self.annotations.ignored_mask(name, height, width)

    def shown(self, name: str) -> np.ndarray:
        """Return which labels an image has, by the pixels that count, as in training.

        Args:
            name: file name; an image without labels is clean.

        Returns:
            ``(L,)`` bool, L names of ``spec.label_names``.
        """
        ids = set(self.annotations.classes(name))
        if ids and name in self.annotations.ignored:
            ignored, runs = self.annotations.ignored[name], self.annotations.runs(name)
            ids = {number for number in ids if not _is_inside(runs[number], ignored)}
        if self.merged:
            return np.array([bool(ids)])
        wanted = range(1, len(self.spec.class_names) + 1) if self.spec.target_id is None else [self.spec.target_id]
        return np.array([number in ids for number in wanted])


def _is_inside(code: str, other: str) -> bool:
    """Check whether all pixels of a run-length code are among those of another one of the same image."""
    inside, around = rle.parse(code), rle.parse(other)
    within = np.zeros(max(int(runs.sum(axis=1).max(initial=1)) for runs in (inside, around)), dtype=np.bool_)
    for start, length in around:
        within[start : start + length] = True
    return all(within[start : start + length].all() for start, length in inside)


def class_ids(
    data: tuple[str, ...], spec: ModelSpec, class_map: tuple[str, ...] | None, source: object
) -> tuple[int, ...]:
    """Return of each scored class, or label of a classifier, its number in the data.

    Args:
        data: names of the data's classes, in the order of their numbers.
        spec: the network; what merges all classes has number 1.
        class_map: what the data calls the network's classes, where that is not the same.
        source: what names the data's classes, for messages.

    Raises:
        InputError: the network was trained on other classes.
    """
    names = spec.scored_names or spec.label_names
    if spec.task in MERGING_TASKS:
        return (1,)
    return match(names, data, class_map, source, partly=spec.target is not None)


def _unknown(annotations: Annotations, numbers: tuple[int, ...]) -> dict[str, frozenset[str]]:
    """Return the images of each class that is not among these numbers."""
    rows = annotations.rows
    return {
        name: frozenset(rows.loc[rows["class_id"] == number, "image"])
        for number, name in enumerate(annotations.class_names, start=1)
        if number not in numbers
    }


def _renumbered(annotations: Annotations, spec: ModelSpec, numbers: tuple[int, ...]) -> Annotations:
    """Give the labels the network's names and numbers; labels of classes that it does not know are left out."""
    ours = {number: spec.first_class + place for place, number in enumerate(numbers)}
    if annotations.class_names == spec.class_names and all(number == mine for number, mine in ours.items()):
        return annotations
    rows = annotations.rows[annotations.rows["class_id"].isin(list(ours))]
    rows = rows.assign(class_id=rows["class_id"].map(ours).astype(np.int64))
    rows = rows.sort_values(["image", "class_id"], kind="stable", ignore_index=True)
    return dataclasses.replace(annotations, rows=rows, class_names=spec.class_names)


def labels_beside(images: Path, spec: ModelSpec, class_map: tuple[str, ...] | None = None) -> GroundTruth | None:
    """Find the labels of the images of a dataset folder.

    Args:
        images: ``DIR/train_images`` (labels in ``train.csv``) or ``DIR/test_images`` (in ``test_labels.csv``).
        spec: the network.
        class_map: what the data calls its classes, where that is not the same.

    Returns:
        The labels, or None when there is no such table.

    Raises:
        InputError: the table is malformed or of other classes.
    """
    root = images.parent
    table = root / LABELS["test" if images.name == TEST_IMAGES else "train"]
    if not table.is_file():
        return None
    return GroundTruth(read_annotations(table, read_class_names(root)), spec, class_map)
