"""Whether the data is enough for every network of a system, and for calibrating it: looked at before hours of training."""

import pandas as pd

from config import TrainConfig
from utils.calibration.new_weights import LEAST
from utils.data.dataset_folder import Dataset
from utils.errors import InputError
from utils.training.flags import make_spec
from utils.training.initial_weights import initial_network
from utils.training.loaders import check_counts
from utils.training.selection import part_of
from utils.training.trial import check_batch


def check_members(
    config: TrainConfig, members: dict[str, TrainConfig], dataset: Dataset, frame: pd.DataFrame, processes: int
) -> None:
    """Try what each training of a system begins with, and whether the validation images are enough to calibrate by.

    Args:
        config: of the system.
        members: settings of each network, by role.
        dataset: the dataset folder.
        frame: the system's split.
        processes: that train.

    Raises:
        InputError: what one of the trainings, or the calibration after them, would be refused for.
    """
    if frame.loc[frame["side"] == "valid", "group"].nunique() < LEAST:
        remedy = "put more into it" if config.split else "add images, or raise -valid_fraction"
        raise InputError(
            f"{config.split or config.dir}: the validation images, fewer than {LEAST} that differ, are too few to"
            f" calibrate a system by; {remedy}"
        )
    for role, member in members.items():
        try:
            check_member(member, dataset, frame, processes)
        except InputError as error:
            raise InputError(f"-system {config.system}, {role}: {error}") from None


def check_member(member: TrainConfig, dataset: Dataset, frame: pd.DataFrame, processes: int) -> None:
    """Try what the training of one network begins with; arguments as of ``check_members``, its own settings and split.

    Raises:
        InputError: what it would be refused for.
    """
    spec = make_spec(member, dataset.annotations.class_names)
    part = part_of(frame, member, spec, dataset)
    train, valid = (part.loc[part["side"] == side, "image"] for side in ("train", "valid"))
    check_counts(member, {"train": len(train), "valid": len(valid)}, processes)
    network = initial_network(member, spec, None).network
    check_batch(member, network, [dataset.path(name) for name in train], processes)
