"""Which images a run uses, and which of them it keeps for validation and for the test."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from config import TrainConfig
from utils.data.annotation_table import read_annotations
from utils.data.annotations import Annotations
from utils.data.dataset_folder import Dataset
from utils.data.folds import part_into_folds
from utils.data.listing import as_name
from utils.data.splits import BALANCED_TABLE, TEST, TRAIN, VALID, balance, near_duplicate_groups, read_split, split
from utils.data.tables import AnnotationError, read_listed
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.settings import to_plain
from utils.text import plural
from utils.training.provenance import data_fingerprint
from utils.weights.run_files import SPLIT

# Runs on the same images that agree in these have the same split.
CHOOSING = (
    "task",
    "target",
    "subset",
    "per_class",
    "images_with",
    "valid_fraction",
    "test_fraction",
    "seed",
    "group_duplicates",
    "split",
)


def choose_split(config: TrainConfig, spec: ModelSpec, dataset: Dataset, resumed: Path | None) -> pd.DataFrame:
    """Return the run's split.

    Args:
        config: the run's settings.
        spec: the network.
        dataset: the dataset folder, whose images were checked, see ``with_depth``.
        resumed: the folder of the run that goes on, which keeps its split; none: a new run.

    Returns:
        Columns image, side (``train``, ``valid`` or ``test``) and group.

    Raises:
        InputError: too few images to train, to validate or to test on.
    """
    if resumed is not None and (resumed / SPLIT).exists():
        return read_split(resumed / SPLIT, dataset.images)
    if config.split is not None:
        if not config.split.is_file():
            raise InputError(f"-split {config.split}: no such file; name the {SPLIT} of an earlier run")
        return part_of(read_split(config.split, list(dataset.images)), config, spec, dataset)
    return _checked(_new_split(config, spec, dataset, config.valid_fraction), config, spec, dataset)


def choose_folds(config: TrainConfig, spec: ModelSpec, dataset: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the split of a run of ``-folds``, and the folds of its training side.

    Args:
        config: the run's settings. Of ``-split`` the training side is parted; its other sides are used for nothing.
        spec: the networks.
        dataset: the dataset folder, whose images were checked, see ``with_depth``.

    Returns:
        Columns image, side and group; and image, fold and group.

    Raises:
        InputError: too few images.
    """
    if config.split is not None:
        if not config.split.is_file():
            raise InputError(f"-split {config.split}: no such file; name the {SPLIT} of an earlier run")
        frame = read_split(config.split, list(dataset.images))
        frame = frame[frame["image"].isin(set(_usable(config, spec, dataset)))].reset_index(drop=True)
    else:
        frame = _new_split(config, spec, dataset, 0.0)
    assert config.folds is not None
    train = frame[frame["side"] == TRAIN]
    group_of = dict(zip(train["image"], map(int, train["group"]), strict=True))
    return frame, part_into_folds(dataset.annotations, group_of, config.folds, config.seed)


def _new_split(config: TrainConfig, spec: ModelSpec, dataset: Dataset, valid_fraction: float) -> pd.DataFrame:
    """Split the images of the subset; ``InputError`` where none is left to test on."""
    names = _chosen(config, spec, dataset)
    groups = near_duplicate_groups(dataset, config.num_of_workers, True, names) if config.group_duplicates else None
    frame = split(dataset.annotations, names, valid_fraction, config.seed, groups, config.test_fraction)
    if config.test_fraction and TEST not in set(frame["side"]):
        raise InputError(
            f"-test_fraction {config.test_fraction:g}: {plural(len(frame), 'image')} of {config.dir} leave none to test on,"
            " since near-duplicates stay together; raise it, or add images"
        )
    return frame


def seen_before(config: TrainConfig, dataset: Dataset, origin: dict[str, Any] | None, frame: pd.DataFrame) -> list[str]:
    """Check whether the weights that a training goes on from were trained on images that it validates by or tests on.

    Args:
        config: the run's settings.
        dataset: the dataset folder.
        origin: of those weights, as ``InitialNetwork`` has it.
        frame: the run's split.

    Returns:
        Lines for the user, or none.
    """
    if origin is None or origin.get("data_fingerprint") != data_fingerprint(dataset):
        return []
    flag = f"-{origin['flag']} {getattr(config, origin['flag'])}"
    path = Path(getattr(config, origin["flag"])).parent / SPLIT
    if path.is_file():
        earlier = read_split(path)
        used = {side: set(part["image"]) for side, part in earlier.groupby("side")}
        lines = []
        for side, what, words in ((VALID, "validation", "trained on"), (TEST, "test", "trained on or chosen by")):
            images = set(frame.loc[frame["side"] == side, "image"])
            before = used.get(TRAIN, set()) | (used.get(VALID, set()) if side == TEST else set())
            if seen := len(images & before):
                lines.append(
                    f"{flag}: was {words} {seen} of the {len(images)} {what} images, so their scores flatter; -split"
                    f" {path} keeps them apart"
                )
        return lines
    settings = to_plain(config)
    before_settings = {"test_fraction": 0.0, **origin.get("config", {})}  # runs of earlier versions had none
    same = all(before_settings.get(name) == settings.get(name) for name in CHOOSING)
    words = "trained on these images, perhaps on some that are for validation now"
    if same or config.split:
        return []
    return [f"{flag}: was {words}; -split with the {SPLIT} of its run keeps them apart"]


def part_of(frame: pd.DataFrame, config: TrainConfig, spec: ModelSpec, dataset: Dataset) -> pd.DataFrame:
    """Return the part of a split whose images a network learns from.

    Raises:
        InputError: too few images to train or to validate on.
    """
    part = frame[frame["image"].isin(set(_usable(config, spec, dataset)))].reset_index(drop=True)
    return _checked(part, config, spec, dataset)


def _checked(frame: pd.DataFrame, config: TrainConfig, spec: ModelSpec, dataset: Dataset) -> pd.DataFrame:
    if not {TRAIN, VALID} <= set(frame["side"]):
        where = config.split or config.dir
        raise InputError(f"{where}: {len(frame)} images leave none to {_missing_side(frame)} on; add images")
    _check_contrast(spec, dataset.annotations, frame)
    return frame


def _usable(config: TrainConfig, spec: ModelSpec, dataset: Dataset) -> list[str]:
    """Name the images that ``-images_with`` lets through, sorted."""
    wanted = _wanted(config, spec)
    classes = dataset.annotations.classes
    names = list(dataset.images)
    if wanted != "anything":
        target = spec.target_id if wanted == "target" else None
        names = [name for name in names if (shown := classes(name)) and (target is None or target in shown)]
    if not names:
        raise InputError(
            f"{dataset.annotations.source}: no image shows {spec.target or 'a defect'}; add images that do"
        )
    return names


def _wanted(config: TrainConfig, spec: ModelSpec) -> str:
    auto = "target" if spec.target else "anything"
    return auto if config.images_with == "auto" else config.images_with


def _chosen(config: TrainConfig, spec: ModelSpec, dataset: Dataset) -> list[str]:
    """Name the images of the subset, sorted."""
    usable = _usable(config, spec, dataset)
    if config.subset == "all":
        return usable
    rows = dataset.annotations.rows
    inside = rows["image"].isin(set(usable))
    if _wanted(config, spec) == "target":
        inside &= rows["class_id"] == spec.target_id
    table = balanced_table(config, dataset)
    if table is None:
        chosen = balance(dataclasses.replace(dataset.annotations, rows=rows[inside]), config.per_class, config.seed)
    else:
        chosen = _listed(table, dataset, set(rows["image"][inside]))
    if spec.labels:
        # Whoever answers for whole images has to see clean ones, and the balanced subset has none.
        clean = [name for name in usable if not dataset.annotations.classes(name)]
        random = np.random.default_rng(config.seed)
        chosen = sorted([*chosen, *random.permutation(clean)[: len(chosen)].tolist()])
    return chosen


def balanced_table(config: TrainConfig, dataset: Dataset) -> Path | None:
    """Return the dataset folder's own ``train_balanced.csv`` where it names the images of the balanced subset.

    Another ``-per_class`` than the default asks for a choice of its own.
    """
    table = dataset.root / BALANCED_TABLE
    default = TrainConfig.__dataclass_fields__["per_class"].default
    chooses = config.subset == "balanced" and config.split is None and config.per_class == default
    return table if chooses and table.is_file() else None


def _listed(table: Path, dataset: Dataset, usable: set[str]) -> list[str]:
    """Return those images of a table that can be used, sorted."""
    there = set(dataset.images)
    listed = {row: as_name(name, dataset.image_dir) for row, name in read_listed(table).items()}
    for row, name in listed.items():
        if name not in there:
            raise AnnotationError(table, f"{name} not in {dataset.image_dir}", "remove the row or the table", row)
    chosen = sorted(set(listed.values()) & usable)
    if not chosen:
        raise InputError(f"{table}: lists no image that can be trained on; correct or remove it")
    return chosen


def about_subset(config: TrainConfig, dataset: Dataset, frame: pd.DataFrame) -> list[str]:
    """Return lines for the user about the balanced subset: where it comes from, and that it has no clean images."""
    if config.subset != "balanced" or config.split is not None:
        return []
    notes = []
    table = balanced_table(config, dataset)
    if table is not None:
        notes.append(f"balanced subset: the images of {table}; another -per_class, or no such table, chooses anew")
        notes += _about_other_labels(table, dataset)
    clean = [name for name in dataset.images if not dataset.annotations.classes(name)]
    if clean and config.images_with == "auto" and config.target is None and not set(clean) & set(frame["image"]):
        notes.append(
            f"-subset balanced: {plural(len(clean), 'image')} without a defect of {len(dataset.images)} left out, of"
            " validation too: false positives on clean images stay unseen; -subset all has them, and Evaluate.py -split"
            " all counts them"
        )
    return notes


def _about_other_labels(table: Path, dataset: Dataset) -> list[str]:
    """Return a line for the user where a table of images has other labels than ``train.csv``, which are the ones that count."""
    malformed: list[AnnotationError] = []
    try:
        theirs = read_annotations(table, dataset.annotations.class_names, malformed).rows
    except InputError:  # a list of images, without labels
        return []
    ours = dataset.annotations.runs
    differing = [
        (image, class_id)
        for image, class_id, code in zip(theirs["image"], theirs["class_id"], theirs["rle"], strict=True)
        if ours(image).get(class_id, "").split() != code.split()
    ]
    labels = dataset.annotations.source
    if differing:
        image, class_id = differing[0]
        said = f"{plural(len(differing), 'label')} of {len(theirs)} not as in {labels}"
        said += f" (the first: {image}, class {dataset.annotations.class_names[class_id - 1]})"
    elif malformed:
        said = f"{plural(len(malformed), 'label')} that cannot be read (row {malformed[0].row}: {malformed[0].reason})"
    else:
        return []
    return [f"warning: {table}: {said}; it says which images are taken, their labels are those of {labels.name}"]


def about_test(config: TrainConfig, frame: pd.DataFrame) -> list[str]:
    """Return a line for the user where ``-split`` has test images and none of them is one that this network uses."""
    if config.split is None or TEST in set(frame["side"]):
        return []
    there = int((read_split(config.split)["side"] == TEST).sum())
    words = f"this network uses no image of its test side ({plural(there, 'image')}), so there is no test score"
    return [f"-split {config.split}: {words}"] if there else []


def _check_contrast(spec: ModelSpec, annotations: Annotations, frame: pd.DataFrame) -> None:
    """Refuse to teach the difference between two kinds of images of which one is missing."""
    if spec.task != "classify-binary":
        return
    for side, part in frame[frame["side"] != TEST].groupby("side"):
        shown = [bool(annotations.classes(name)) for name in part["image"]]
        if all(shown) or not any(shown):
            missing = "free of defects" if all(shown) else "with a defect"
            raise InputError(
                f"{annotations.source}: -task classify-binary needs images of both kinds, and of the {len(part)} on the"
                f" {side} side none is {missing}; add some"
            )


def _missing_side(frame: pd.DataFrame) -> str:
    return "validate" if "valid" not in set(frame["side"]) else "train"
