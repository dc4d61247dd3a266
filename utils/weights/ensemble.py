"""Networks of several files, put together without a system file: the mean of their logits."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from utils.decision.decision import ClassDecision, Decision
from utils.errors import InputError
from utils.models.spec import MASK_TASKS
from utils.weights.run_files import FOLDS, SPLIT
from utils.weights.same_classes import misfit
from utils.weights.system_file import ENSEMBLE, SystemFile, ensemble_role, gate_for
from utils.weights.torch_file import digest
from utils.weights.weights_file import SYSTEM_SUFFIX, WeightsFile, load

LONGEST_NAME = 80


def ensemble_of(paths: Sequence[Path]) -> SystemFile:
    """Put networks together.

    Thresholds and areas are the means of those that each network has by itself: a start, until they are calibrated for
    the whole.

    Args:
        paths: weights files, two or more; one that stands there twice counts twice.

    Raises:
        InputError: a file that cannot be used, or networks that have no mean; one line that names the files.
    """
    for path in paths:
        if path.name.endswith(SYSTEM_SUFFIX):
            raise InputError(f"-weights_dir: {path} is a system of several networks; an ensemble is of single ones")
    files = [load(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if file.spec.is_classifier:
            raise InputError(
                f"-weights_dir: {path} judges whole images ({file.spec.task}); an ensemble is of networks that draw one"
                f" kind of masks ({', '.join(MASK_TASKS)})"
            )
    for path, file in zip(paths[1:], files[1:], strict=True):
        wrong = misfit({str(paths[0]): files[0], str(path): file})
        if wrong:
            raise InputError(f"-weights_dir: {wrong}")
    members = {ensemble_role(number): file for number, file in enumerate(files, start=1)}
    whole = "".join(file.sha256 or digest(path) for path, file in zip(paths, files, strict=True))
    return SystemFile(
        kind=ENSEMBLE,
        members=members,
        gate=gate_for(ENSEMBLE, members),
        decision=mean_decision(files),
        source=_place(paths) / _name(files),
        assembled=True,
        sha256=hashlib.sha256(whole.encode()).hexdigest(),
    )


def mean_decision(files: Sequence[WeightsFile]) -> Decision:
    """Return the mean of the thresholds and areas of networks with the same classes, in the first one's order.

    A largest area or a high threshold stays only where all networks have one.
    """
    by_name = [dict(zip(file.spec.scored_names, file.decision.per_class, strict=True)) for file in files]
    return Decision.of_classes(_mean([one[name] for one in by_name]) for name in files[0].spec.scored_names)


def _mean(those: Sequence[ClassDecision]) -> ClassDecision:
    if len(set(those)) == 1:  # to the last digit
        return those[0]
    largest = [one.max_area for one in those if one.max_area is not None]
    high = [one.high_threshold for one in those]
    return ClassDecision(
        round(fmean(one.threshold for one in those), 6),
        round(fmean(one.min_area for one in those)),
        round(fmean(largest)) if len(largest) == len(those) else None,
        round(fmean(high), 6) if all(high) else 0.0,
    )


def _place(paths: Sequence[Path]) -> Path:
    """Return the folder that stands for all: the first with a split, by which images are scored and calibrated on.

    Networks of one run of ``-folds`` have that run's split: it knows the images that none of them has learnt.
    """
    folders = [path.parent for path in paths]
    homes = {folder.parent for folder in folders}
    if len(homes) == 1 and (folders[0].parent / FOLDS).is_file():
        return folders[0].parent
    return next((folder for folder in folders if (folder / SPLIT).is_file()), folders[0])


def _name(files: Sequence[WeightsFile]) -> str:
    encoders = "+".join(file.spec.encoder for file in files)
    for letter in "-./":
        encoders = encoders.replace(letter, "_")
    return f"ensemble-{encoders if len(encoders) <= LONGEST_NAME else f'of_{len(files)}'}"
