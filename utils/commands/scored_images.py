"""Which labelled images are scored: sides of a run's split, or all of a folder; and what a network knows of them."""

from collections.abc import Sequence
from pathlib import Path

from config import EvaluateConfig
from utils.commands.known_images import KnownImages, find_known
from utils.data.dataset_folder import Dataset
from utils.data.folder_layout import LABELS
from utils.data.folds import read_folds
from utils.data.images import ImageError, read_size
from utils.data.splits import TEST, read_split
from utils.errors import InputError
from utils.inference.chosen import Chosen
from utils.text import plural
from utils.weights.run_files import FOLDS, SPLIT


def meant(config: EvaluateConfig, run: Path) -> str:
    """Return ``-split``, where ``test`` becomes one of ``test-side`` and ``test-images``: whichever there is."""
    if config.split != "test" or not (run / SPLIT).is_file() or TEST not in set(read_split(run / SPLIT)["side"]):
        return "test-images" if config.split == "test" else config.split
    labels = config.dir / LABELS["test"]
    if labels.exists():
        raise InputError(
            f"-split test: {run / SPLIT} has a test side, and {labels} labels other test images; take -split test-side or"
            " -split test-images"
        )
    return "test-side"


def names_of(side: str, dataset: Dataset, run: Path) -> Sequence[str]:
    """Return the names of the images to score, sorted."""
    if side in ("all", "test-images"):
        return dataset.images
    if side == "out-of-fold":
        return sorted(read_folds(run / FOLDS, dataset.images)["image"])
    csv_file = run / SPLIT
    if not csv_file.is_file():
        raise InputError(
            f"-split {side}: no {SPLIT} beside the weights file in {run}; give the run folder with"
            " -weights_dir, or score every labelled image with -split all"
        )
    frame = read_split(csv_file, dataset.images)
    name = side.removesuffix("-side")
    names = sorted(frame.loc[frame["side"] == name, "image"])
    if not names:
        raise InputError(f"{csv_file}: has no image on its {name} side; use -split all")
    return names


def check_unlearnt(side: str, names: Sequence[str], runs: Sequence[Path]) -> None:
    """Check that no other run has learnt from the images that one has kept apart.

    Args:
        side: what is scored, as ``meant`` gives it.
        names: of the images, from the split of one of the runs.
        runs: folders of all networks; those without a split cannot be asked.

    Raises:
        InputError: one has, so that its scores would be too good.
    """
    if side not in ("valid", "test-side"):
        return
    for run in runs:
        if not (run / SPLIT).is_file():
            continue
        frame = read_split(run / SPLIT)
        learnt = set(frame.loc[frame["side"] == "train", "image"]) & set(names)
        if learnt:
            raise InputError(
                f"-split {side}: {run / SPLIT} has {len(learnt)} of these {len(names)} images on its train side; score images"
                " that no network has learnt, or train all on one split (-split of Train.py)"
            )


def what_of(config: EvaluateConfig, side: str, run: Path) -> str:
    """Return the scored images in words."""
    if side in ("all", "test-images"):
        return f"all {'test' if side == 'test-images' else 'labelled'} images of {config.dir}"
    if side == "out-of-fold":
        return f"each by the network of {run} that has not learnt it"
    words = {"valid": "validation", "train": "training", "test-side": "test"}
    return f"{words[side]} side of {run / SPLIT}"


def check_labels(dataset: Dataset, names: Sequence[str]) -> None:
    """Find labels that do not fit their image before the network spends minutes on the others."""
    for name in names:
        if dataset.annotations.classes(name) or name in dataset.annotations.ignored:
            try:
                size = read_size(dataset.path(name))
            except ImageError:
                continue  # the pipeline skips and reports it
            dataset.annotations.mask(name, *size)
            dataset.annotations.ignored_part(name, *size)


def known_images(config: EvaluateConfig, chosen: Chosen, dataset: Dataset, names: Sequence[str]) -> KnownImages | None:
    """Look for copies of the scored images among those trained on; None where they are those themselves.

    A network that answers out of fold has not learnt its images, and copies are in one fold.
    """
    if config.split in ("train", "out-of-fold"):
        return None
    paths = [dataset.path(name) for name in names]
    validating = config.split == "valid"
    return find_known(chosen.weights.image_hashes, paths, validating, folder=dataset.image_dir)


def chosen_here(config: EvaluateConfig, chosen: Chosen, mean_dice: float) -> str:
    """Return a warning where the decision in use was chosen on the images that are scored: "" where it was not."""
    told = chosen.weights.metrics.get("calibration")
    if not isinstance(told, dict) or chosen.decision != chosen.weights.decision:
        return ""
    if (told.get("dataset"), told.get("split")) != (config.dir.resolve().name, config.split):
        return ""
    honest = told.get("cross_fitted")
    expected = honest.get("mean_dice") if isinstance(honest, dict) else None
    words = f"; expect {expected:.4f} on others (cross-fitted)" if isinstance(expected, float) else ""
    return f"warning: the thresholds were chosen on these images, so {mean_dice:.4f} is too good{words}"


def chosen_on_learnt(config: EvaluateConfig, images: int, known: KnownImages | None) -> str:
    """Return a warning where ``-calibrate`` chooses on images that the network has learnt from: "" where it does not.

    Args:
        config: the flags.
        images: their number.
        known: what ``known_images`` found.
    """
    copies = len(known.whole) + len(known.part) if known else 0
    learnt = images if config.split == "train" else copies
    if not config.calibrate or not learnt:
        return ""
    return (
        f"warning: {learnt} of these {plural(images, 'image')} or copies of them were trained on, and the network is surer"
        " of them than of others: choose by images that it does not know, as with -split valid"
    )
