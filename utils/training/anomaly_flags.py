"""Which flags of a training ``-task anomaly`` takes: it needs neither labels nor epochs."""

import dataclasses
from pathlib import Path

from config import TrainConfig
from utils.errors import InputError
from utils.models.spec import ANOMALY
from utils.settings import flag_of, given_fields, note_given

# All others would do nothing.
TAKEN = frozenset(
    (
        *("dir", "out", "task", "architecture", "encoder", "encoder_weights", "channels", "weights_dir"),
        *("false_alarms", "memory", "image_size", "bit_depth", "split", "valid_fraction", "group_duplicates"),
        *("seed", "device", "threads", "num_of_workers", "recipe"),
    )
)
OWN = ("weights_dir", "false_alarms", "memory")
PUBLISHED = Path("weights")


def settle_anomaly(given: TrainConfig) -> TrainConfig:
    """Return the settings of a new run of ``-task anomaly``, which remembers what flags the user gave.

    Raises:
        InputError: flags that it does not take, or that do not fit together.
    """
    names = given_fields(given)
    for name in sorted(names - TAKEN):
        raise InputError(
            f"{flag_of(name)}: -task {ANOMALY} learns from clean images alone, without epochs; leave it out"
        )
    if "architecture" in names and given.architecture != "patchcore":
        raise InputError(f"-architecture {given.architecture}: -task {ANOMALY} has its own, patchcore; leave it out")
    if not 0 < given.false_alarms < 1:
        raise InputError(
            f"-false_alarms {given.false_alarms:g}: expected a share of the clean images above 0 and below 1, as 0.01"
        )
    if given.split is not None and "group_duplicates" in names:
        raise InputError(f"-group_duplicates: -split {given.split} names the groups; leave one of the two out")
    source = given.weights_dir
    if source is not None:
        for name in ("encoder", "encoder_weights"):
            if name in names:
                raise InputError(f"-{name}: -weights_dir {source} has its encoder; leave one of the two out")
    elif not names & {"encoder", "encoder_weights"}:
        source = PUBLISHED
    size = given.image_size if "image_size" in names else None
    settled = dataclasses.replace(given, architecture="patchcore", weights_dir=source, image_size=size)
    return note_given(settled, names)


def refuse_anomaly_flags(given: TrainConfig) -> None:
    """Refuse what is for ``-task anomaly`` alone, beside another task; names the first in an ``InputError``."""
    for name in OWN:
        if name in given_fields(given):
            other = "; to start from trained weights give -encoder_weights FILE" if name == "weights_dir" else ""
            raise InputError(f"-{name}: is for -task {ANOMALY}, not for -task {given.task}; leave it out{other}")
    if given.architecture == "patchcore":
        raise InputError(f"-architecture patchcore: is for -task {ANOMALY}; give that too, or leave it out")
