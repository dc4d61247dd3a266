"""Ground truth in the terms of a network: one mask for each class that it decides about."""

from pathlib import Path

import numpy as np

from utils.data.annotations import LABELS, TEST_IMAGES, Annotations, read_annotations, read_class_names
from utils.errors import InputError
from utils.models.spec import ModelSpec


class GroundTruth:
    """The labels of a dataset as a network's scored classes.

    Args:
        annotations: the labels.
        spec: the network. For ``binary`` and ``classify-binary`` all classes are merged, whatever their names.

    Raises:
        InputError: the network was trained on other classes. A table without names of its own may have fewer classes
            than the network, since a class without a defect leaves no trace in it.
    """

    def __init__(self, annotations: Annotations, spec: ModelSpec) -> None:
        self.annotations = annotations
        self.spec = spec
        self.merged = spec.task in ("binary", "classify-binary")
        if self.merged:
            return
        have, want = annotations.class_names, spec.class_names
        unnamed = have == _numbers(len(have)) and len(have) <= len(want)
        if have != want and not unnamed and not (want == _numbers(len(want)) and len(have) == len(want)):
            raise InputError(
                f"{annotations.source}: classes are {', '.join(have)}, but the weights were trained on"
                f" {', '.join(want)}; use weights of these classes, or correct classes.txt"
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
        if len(masks) and self.annotations.runs(name):
            drawn = self.annotations.mask(name, height, width).transpose(2, 0, 1).view(np.bool_)
            if self.merged:
                masks[:] = drawn.any(axis=0)
            elif self.spec.target_id is not None:
                if self.spec.target_id <= len(drawn):  # a table without names may know fewer classes
                    masks[0] = drawn[self.spec.target_id - 1]
            else:
                masks[: len(drawn)] = drawn
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
        """Return which labels an image has.

        Args:
            name: file name; an image without labels is clean.

        Returns:
            ``(L,)`` bool, L names of ``spec.label_names``.
        """
        ids = set(self.annotations.runs(name))
        if self.merged:
            return np.array([bool(ids)])
        wanted = range(1, len(self.spec.class_names) + 1) if self.spec.target_id is None else [self.spec.target_id]
        return np.array([number in ids for number in wanted])


def labels_beside(images: Path, spec: ModelSpec) -> GroundTruth | None:
    """Find the labels of the images of a dataset folder.

    Args:
        images: ``DIR/train_images`` (labels in ``train.csv``) or ``DIR/test_images`` (in ``test_labels.csv``).
        spec: the network.

    Returns:
        The labels, or None when there is no such table.

    Raises:
        InputError: the table is malformed or of other classes.
    """
    root = images.parent
    table = root / LABELS["test" if images.name == TEST_IMAGES else "train"]
    return GroundTruth(read_annotations(table, read_class_names(root)), spec) if table.is_file() else None


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(k) for k in range(1, count + 1))
