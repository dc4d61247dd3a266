"""Remember what clean steel looks like, and find the threshold from which something else gives an alarm."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from config import TrainConfig
from utils.data.clean import CleanImages, open_clean
from utils.data.folds import part_into_folds, split_of
from utils.data.images import read_size
from utils.data.splits import TEST, VALID, near_duplicate_groups, read_split, write_split
from utils.data.synthetic import CLASS_NAMES
from utils.data.synthetic.painted import paint_defects
from utils.decision.decision import Decision
from utils.device import choose_device
from utils.errors import InputError
from utils.files import write_text
from utils.models.segmenter import Segmenter
from utils.models.spec import ANOMALY
from utils.settings import given_fields
from utils.text import plural
from utils.training.alarm_level import LEAST_AREA
from utils.training.alarm_threshold import expected_alarms, images_for
from utils.training.anomaly_encoder import open_encoder
from utils.training.bit_depth import with_depth, write_depth
from utils.training.clean_features import alarms
from utils.training.clean_memory import remember_clean
from utils.training.image_hashes import hash_images
from utils.training.provenance import run_provenance
from utils.training.result import look_of
from utils.training.run_folder import Run, begun, write_settings
from utils.weights.run_files import METRICS, SPLIT
from utils.weights.weights_file import WeightsFile

FEWEST = 10  # clean images
WITHIN = 0.3  # of the share of false alarms that was asked for, part that other clean images may differ by
LARGEST = 600_000  # pixels of images that the network sees at their own size, unless -image_size says otherwise
STRETCHES = 4  # of names that follow each other, a fold: many enough that each memory knows something of every product
DRAWN = 50  # clean images that defects of each class are drawn on


@dataclasses.dataclass(frozen=True)
class AnomalyResult:
    """What came of remembering clean steel.

    Args:
        folder: the run folder.
        weights: the weights file.
        metrics: what the weights file says of it, see ``train_anomaly``.
        notes: lines about what the flags have led to.
        seconds: of this call.
        is_main: whether this process prints.
    """

    folder: Path
    weights: Path
    metrics: dict[str, Any]
    notes: tuple[str, ...]
    seconds: float
    is_main: bool = True

    def text(self) -> str:
        """Return the lines that a user reads at the end."""
        told = self.metrics
        lines = [
            f"{plural(told['memory'], 'feature')} of {plural(told['clean_images'], 'clean image')} kept;"
            f" {told['held_out_images']} more were not shown to the memory",
            f"threshold for alarms on {told['false_alarms']:.2%} of clean images, by {told['scored_images']} images that their"
            f" memory did not know: {told['alarms']} of them are above it",
        ]
        if told["drawn"]:
            shares = ", ".join(f"{name} {part['found']} of {part['images']}" for name, part in told["drawn"].items())
            lines.append(f"drawn defects found on held-out images: {shares}")
        if told["labelled"]:
            found = told["labelled"]
            lines.append(f"images with labelled defects that give an alarm: {found['found']} of {found['images']}")
        return "\n".join([*lines, *self.notes, f"{self.seconds:.0f} s", f"weights: {self.weights}"])


def train_anomaly(run: Run) -> AnomalyResult:
    """Make a weights file of task ``anomaly`` from clean images.

    The images are parted into folds, near-duplicates in the same. Each fold is scored by a memory of the others, so that
    every image tells how far clean steel may be from a memory that does not know it. The memory of all but the first fold
    is the one that the weights file gets; its scores are no other than those of the other memories, since all
    have the same share of the images.

    Args:
        run: of ``-task anomaly``, see ``open_run``.

    Returns:
        Where the weights file is. Its ``metrics`` say how many images, which share of alarms was asked for, how many of
        the scored images are above the threshold, and what was found of drawn and of labelled defects.

    Raises:
        InputError: flags or images that cannot be used; nothing was written then.
    """
    started, config = time.perf_counter(), run.config
    if run.resumed:
        raise InputError(
            f"-resume {run.folder}: -task {ANOMALY} is not resumed, it takes minutes; start with another -out"
        )
    assert config.dir is not None
    images = _in_split(config, open_clean(config.dir))
    _check_number(images)
    torch.manual_seed(config.seed)  # of -encoder_weights none
    encoder = open_encoder(config)
    images = dataclasses.replace(images, dataset=with_depth(config, images.dataset, None))
    config, notes = _with_size(encoder.config, images)
    assert config.dir is not None
    _announce(config, images, encoder.origin, notes)
    folds = _folds(config, images)
    notes += [] if config.split is not None else _about_copies(folds)
    network = encoder.network.to(choose_device(config.device))
    if config.threads:
        torch.set_num_threads(config.threads)
    scores = remember_clean(config, images.dataset, network, folds)
    file = _file(config, images, network)
    fold_of = dict(zip(folds["image"], folds["fold"], strict=True))
    held_out = [name for name in images.clean if fold_of[name] == 1]
    metrics = {
        "dataset": config.dir.resolve().name,
        "images": "clean images, each by a memory that does not know it",
        "memory": file.spec.memory,
        "clean_images": len(images.clean) - len(held_out),
        "held_out_images": len(held_out),
        "false_alarms": config.false_alarms,
        "scored_images": len(scores),
        "expected_false_alarms": [
            round(end, 5) for end in expected_alarms(folds["group"].nunique(), config.false_alarms)
        ],
        "alarms": int((scores > file.state_dict["centre"].item()).sum()),
        "drawn": _found_of_drawn(config, images, network, held_out),
        "labelled": _found_of_labelled(config, images, network),
    }
    notes = [*notes, _about_threshold(config.false_alarms, folds["group"].nunique(), config.split is not None)]
    kept = [name for name in images.clean if fold_of[name] != 1]
    file = dataclasses.replace(
        file,
        metrics=metrics,
        provenance={
            **run_provenance(config, images.dataset),
            **({"started_from": encoder.provenance} if encoder.provenance else {}),
        },
        image_hashes=hash_images(images.dataset, kept, held_out, config.num_of_workers),
        appearance=look_of(images.dataset, file, images.clean),
    )
    with begun(dataclasses.replace(run, config=config)) as run:
        write_split(_sides(folds, images), run.folder / SPLIT)
        write_depth(run.folder, images.dataset.depth)
        write_text(run.folder / METRICS, json.dumps(metrics, indent=2) + "\n")
        weights = file.save_named(run.folder, f"patchcore-{config.encoder.replace('/', '_')}-{metrics['dataset']}")
        write_settings(run)
    return AnomalyResult(run.folder, weights, metrics, tuple(notes), time.perf_counter() - started)


def _in_split(config: TrainConfig, images: CleanImages) -> CleanImages:
    """Leave out the images that ``-split`` does not name, and those of its side test."""
    if config.split is None:
        return images
    frame = read_split(config.split, images.dataset.images)
    used = set(frame.loc[frame["side"] != TEST, "image"])
    clean, defective = (tuple(name for name in part if name in used) for part in (images.clean, images.defective))
    return dataclasses.replace(images, clean=clean, defective=defective)


def _check_number(images: CleanImages) -> None:
    if len(images.clean) < FEWEST:
        raise InputError(
            f"{images.dataset.image_dir}: {plural(len(images.clean), 'clean image')}; -task {ANOMALY} needs {FEWEST} or more,"
            " and some hundreds to be of use"
        )


def _with_size(config: TrainConfig, images: CleanImages) -> tuple[TrainConfig, list[str]]:
    """Settle the size that the network sees images at: their own, unless they are large; say what is unusual."""
    sizes = [read_size(path) for path in images.dataset.paths(images.clean)]
    notes = []
    if len(set(sizes)) > 1 and config.image_size is None:
        notes.append(f"the images have {len(set(sizes))} sizes; each is seen at its own (-image_size makes them equal)")
    if "image_size" in given_fields(config):
        return config, notes
    height, width = sorted(sizes, key=lambda size: size[0] * size[1])[len(sizes) // 2]
    if height * width <= LARGEST:
        return config, notes
    factor = (LARGEST / (height * width)) ** 0.5
    small = (max(32, round(height * factor / 32) * 32), max(32, round(width * factor / 32) * 32))
    note = f"images of {height}x{width} pixels are made {small[0]}x{small[1]} (-image_size native keeps them)"
    return dataclasses.replace(config, image_size=small), [note]


def _announce(config: TrainConfig, images: CleanImages, encoder: str, notes: Sequence[str]) -> None:
    size = "their own size" if config.image_size is None else "{}x{}".format(*config.image_size)
    print(f"{plural(len(images.clean), 'clean image')} at {size}, encoder {encoder}", flush=True)
    if images.defective:
        left = plural(len(images.defective), "image")
        print(f"{left} with labelled defects: left out of the memory, and used to say what gives an alarm", flush=True)
    for note in notes:
        print(note, flush=True)


def _folds(config: TrainConfig, images: CleanImages) -> pd.DataFrame:
    """Part the clean images, near-duplicates together; the first fold is held out of the memory that is kept."""
    names = list(images.clean)
    if config.split is not None:
        return _folds_of_split(config, images)
    groups = dict(zip(names, range(len(names)), strict=True))
    if config.group_duplicates:
        groups = near_duplicate_groups(images.dataset, config.num_of_workers, True, names)
    number = min(len(set(groups.values())), max(2, round(1 / config.valid_fraction)))
    folds = part_into_folds(images.dataset.annotations, stretches(groups, number), number, config.seed)
    return folds.assign(group=[groups[name] for name in folds["image"]])


def stretches(group_of: dict[str, int], folds: int) -> dict[str, int]:
    """Join images whose names follow each other to some stretches a fold, since neighbours are mostly of one coil.

    Args:
        group_of: image name -> group that stays together.
        folds: number of folds, not more than there are groups.

    Returns:
        Name -> stretch; groups stay together, at the place of their first name. Where large groups leave fewer stretches than
        folds, the groups themselves.
    """
    sizes: dict[int, int] = {}
    for name in sorted(group_of):
        sizes[group_of[name]] = sizes.get(group_of[name], 0) + 1
    number, before, stretch_of = min(len(sizes), STRETCHES * folds), 0, {}
    for group, size in sizes.items():
        stretch_of[group] = before * number // len(group_of)
        before += size
    if len(set(stretch_of.values())) < folds:
        return group_of
    return {name: stretch_of[group] for name, group in group_of.items()}


def _folds_of_split(config: TrainConfig, images: CleanImages) -> pd.DataFrame:
    """Part the clean images by the groups of ``-split``; the first fold is its side valid, where that has clean images."""
    assert config.split is not None
    frame = read_split(config.split).set_index("image").loc[list(images.clean)]
    held_out = set(frame.loc[frame["side"] == VALID, "group"])
    groups = {str(name): int(group) for name, group in frame["group"].items()}
    first = {name: group for name, group in groups.items() if group in held_out}
    rest = {name: group for name, group in groups.items() if group not in held_out}
    if len(set(groups.values())) < 2 or not rest:
        raise InputError(
            f"-split {config.split}: the clean images of side train are in no group of their own; the groups say which images"
            " are of one coil, so name two or more"
        )
    number = min(len(set(rest.values())), max(2, round(1 / config.valid_fraction)) - bool(first))
    folds = part_into_folds(images.dataset.annotations, rest, number, config.seed)
    if first:
        folds["fold"] += 1
        known = pd.DataFrame({"image": list(first), "fold": 1, "group": list(first.values())})
        folds = pd.concat([known, folds]).sort_values("image", ignore_index=True)
    return folds


def _file(config: TrainConfig, images: CleanImages, network: Segmenter) -> WeightsFile:
    depth = images.dataset.depth
    return WeightsFile(
        spec=network.spec,
        state_dict={name: tensor.detach().cpu() for name, tensor in network.net.state_dict().items()},
        mean=network.mean,
        std=network.std,
        input_size=config.image_size,
        decision=Decision.uniform(1, 0.5, _smallest_area(config, images), 0, 0.0, network.spec.scored_names),
        bit_depth=depth.bits,
        float_white=depth.float_white,
    )


def _smallest_area(config: TrainConfig, images: CleanImages) -> int:
    """Return the pixels of an image as large as most, below which a region is a speck and gives no alarm."""
    if config.image_size is None:
        return LEAST_AREA
    areas = [height * width for height, width in map(read_size, images.dataset.paths(images.clean))]
    return max(1, round(LEAST_AREA * float(np.median(areas)) / (config.image_size[0] * config.image_size[1])))


def _found_of_drawn(
    config: TrainConfig, images: CleanImages, network: Segmenter, names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Draw defects of each class on held-out images, and count the images where one of their pixels gives an alarm."""
    told = {}
    for class_id, class_name in enumerate(CLASS_NAMES, start=1):
        painter = _Painter(config.seed, class_id, names[:DRAWN])
        found = alarms(config, images.dataset, network, painter.names, painter, painter.masks)
        drawn = [name for name in painter.names if painter.masks[name].any()]
        if drawn:
            told[class_name] = {"images": len(drawn), "found": sum(found[name] for name in drawn)}
    return told


class _Painter:
    """Draws defects of one class on images, and keeps where they are."""

    def __init__(self, seed: int, class_id: int, names: Sequence[str]) -> None:
        self.seed, self.class_id, self.names = seed, class_id, names
        self.masks: dict[str, np.ndarray] = {}

    def __call__(self, name: str, image: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng([self.seed, self.class_id, self.names.index(name)])
        image, self.masks[name] = paint_defects(rng, image, self.class_id)
        return image


def _found_of_labelled(config: TrainConfig, images: CleanImages, network: Segmenter) -> dict[str, int]:
    names = [name for name in images.defective if images.dataset.annotations.classes(name)]
    if not names:
        return {}
    found = alarms(config, images.dataset, network, names)
    return {"images": len(names), "found": sum(found.values())}


def _about_copies(folds: pd.DataFrame) -> list[str]:
    """Say where most of the images are copies: they tell less than their number promises."""
    groups = folds["group"].nunique()
    if 2 * groups > len(folds):
        return []
    return [f"the {len(folds)} clean images are near-duplicates in {groups} groups: add images of other places"]


def _about_threshold(share: float, count: int, grouped: bool) -> str:
    """Say between which shares other clean images give an alarm, and how many images would tell it well."""
    low, high = expected_alarms(count, share)
    told = f"on other clean images of the same kind expect alarms on {low:.2%} to {high:.2%} (95 % certain)"
    needed, what = (
        images_for(share, WITHIN),
        "groups of clean images" if grouped else "clean images that are no copies",
    )
    if count >= needed:
        return told
    return f"{told}; for {share:.2%} within {WITHIN:.0%} of it give {needed:,} {what}"


def _sides(folds: pd.DataFrame, images: CleanImages) -> pd.DataFrame:
    """Return the split: what the memory was made of, and what was kept from it; labelled defects are among the latter."""
    clean = split_of(folds, 1)
    first = int(clean["group"].max()) + 1
    groups = range(first, first + len(images.defective))
    labelled = pd.DataFrame({"image": list(images.defective), "side": VALID, "group": list(groups)})
    labelled = labelled.astype({"group": clean["group"].dtype})  # of none pandas would take real numbers
    return pd.concat([clean, labelled]).sort_values("image", ignore_index=True)
