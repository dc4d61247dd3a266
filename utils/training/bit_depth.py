"""The bit depth that a run reads its images by: measured on all of them when it begins, kept in its folder."""

import dataclasses
import json
import sys
from pathlib import Path

from config import TrainConfig
from utils.data.bit_depth import BitDepth
from utils.data.checks import verified
from utils.data.dataset_folder import Dataset
from utils.errors import InputError
from utils.files import write_text
from utils.weights.run_files import BIT_DEPTH, SPLIT

# What versions that measured nothing did with whole numbers of more than 8 bits.
BEFORE = BitDepth(bits=16)


def with_depth(config: TrainConfig, dataset: Dataset, resumed: Path | None) -> Dataset:
    """Return the data set with its bit depth; a new run checks and measures all images, and prints what they warn of.

    Args:
        config: the run's settings.
        dataset: the dataset folder.
        resumed: the folder of the run that goes on, which keeps its depth; none: a new run.

    Raises:
        InputError: images that cannot be read, or whose numbers fit no depth or not that of ``-bit_depth``.
    """
    if resumed is not None and (resumed / SPLIT).exists():
        return dataclasses.replace(dataset, depth=_kept(resumed))
    asked = dataset.depth.overruled(config.bit_depth)
    report = verified(dataclasses.replace(dataset, depth=asked), config.num_of_workers, True)
    for line in report.warnings:
        print(f"warning: {line}", file=sys.stderr)
    return dataclasses.replace(dataset, depth=report.depth)


def write_depth(folder: Path, depth: BitDepth) -> None:
    """Write the bit depth of a run into its folder."""
    write_text(folder / BIT_DEPTH, json.dumps(dataclasses.asdict(depth), indent=2) + "\n")


def _kept(folder: Path) -> BitDepth:
    path = folder / BIT_DEPTH
    if not path.is_file():
        return BEFORE
    try:
        return BitDepth(**json.loads(path.read_text(encoding="utf-8"))).checked()
    except (ValueError, TypeError):
        raise InputError(f"{path}: damaged; start the run again with another -out") from None
