"""What ``Train.py`` does: train one network, or all networks of a system."""

from config import TrainConfig
from utils.training import run_folder
from utils.training.system import SystemResult, train_system
from utils.training.train import TrainResult, train


def start(config: TrainConfig) -> TrainResult | SystemResult:
    """Train what the settings, or those of the run that ``-resume`` names, ask for.

    Raises:
        InputError: see ``train`` and ``train_system``.
    """
    asked = run_folder.read_settings(config) if config.resume is not None else config
    return train(config) if asked.system is None else train_system(config)
