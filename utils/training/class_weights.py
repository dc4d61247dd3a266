"""What a pixel of each class counts in the loss: by flag, or from the labels."""

from collections.abc import Sequence

import numpy as np

from config import TrainConfig
from utils.data import rle
from utils.data.dataset_folder import Dataset
from utils.data.images import read_size
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.training.flags import weight_words


def class_weights(
    config: TrainConfig, spec: ModelSpec, dataset: Dataset, names: Sequence[str]
) -> tuple[float, ...] | None:
    """Return the weight of each class against background.

    ``balanced`` is the number of other pixels for one pixel of the class, over the images that show it: with this
    weight the class and the rest count alike (torch's advice for ``pos_weight``). For a classifier it is the number of
    images without the label for one that has it.

    Args:
        config: ``class_weights`` is used.
        spec: the network.
        dataset: the dataset folder.
        names: images to train on.

    Returns:
        A number above 0 for each scored class (for each label of a classifier); None when all count alike.

    Raises:
        InputError: not as many numbers as classes.
    """
    if config.class_weights is None:
        return None
    classes = spec.label_names if spec.is_classifier else spec.scored_names
    given = weight_words(config)
    if given is None:
        members = _members(spec, dataset)
        count = _images_alike if spec.is_classifier else _pixels_alike
        return tuple(count(dataset, names, ids) for ids in members)
    if len(given) != len(classes):
        raise InputError(
            f"-class_weights {','.join(config.class_weights)}: {len(given)} for {len(classes)} classes,"
            f" {', '.join(classes)}; give one each"
        )
    return given


def _members(spec: ModelSpec, dataset: Dataset) -> list[set[int]]:
    """Return the dataset's class numbers that make up each class that the network scores."""
    every = range(1, dataset.annotations.num_classes + 1)
    if spec.target_id is not None:
        return [{spec.target_id}]
    return [set(every)] if spec.task in ("binary", "classify-binary") else [{number} for number in every]


def _images_alike(dataset: Dataset, names: Sequence[str], ids: set[int]) -> float:
    showing = sum(bool(ids & set(dataset.annotations.classes(name))) for name in names)
    return max(len(names) - showing, 1) / showing if showing else 1.0


def _pixels_alike(dataset: Dataset, names: Sequence[str], ids: set[int]) -> float:
    inside = whole = 0
    for name in names:
        runs = dataset.annotations.runs(name)
        lengths = [int(rle.parse(runs[number])[:, 1].sum()) for number in ids & set(runs)]
        if lengths:
            inside += sum(lengths)
            ignored = rle.parse(dataset.annotations.ignored.get(name, ""))
            whole += int(np.prod(read_size(dataset.path(name)))) - int(ignored[:, 1].sum())
    return max(whole - inside, 1) / inside if inside else 1.0
