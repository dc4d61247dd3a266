"""What ``Train.py`` does: train one network, or all networks of a system."""

from config import SAID_BY_SPLIT, TrainConfig
from utils.commands.train_network import TrainResult, train_network
from utils.commands.train_system import SystemResult, train_system
from utils.errors import InputError
from utils.settings import given_fields
from utils.training import run_folder


def train(config: TrainConfig) -> TrainResult | SystemResult:
    """Train what the settings, or those of the run that ``-resume`` names, ask for.

    Raises:
        InputError: a choice of images beside ``-split``, which is one; else see ``train`` and ``train_system``.
    """
    if config.split is not None and config.resume is None:
        for name in SAID_BY_SPLIT:
            if name in given_fields(config):
                raise InputError(
                    f"-{name}: -split {config.split} names the images of both sides already; leave one of the two out"
                )
    asked = run_folder.read_settings(config) if config.resume is not None else config
    return train_network(config) if asked.system is None else train_system(config)
