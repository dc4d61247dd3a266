"""What ``Train.py`` does: train one network, one for each fold, or all networks of a system; or remember clean steel."""

from config import TrainConfig
from utils.commands.train_anomaly import AnomalyResult, train_anomaly
from utils.commands.train_folds import FoldsResult, train_folds
from utils.commands.train_network import TrainResult, train_network
from utils.commands.train_system import SystemResult, train_system
from utils.data.packed import with_local_folder
from utils.models.spec import ANOMALY
from utils.training.run_folder import open_run


def train(config: TrainConfig) -> TrainResult | FoldsResult | SystemResult | AnomalyResult:
    """Train what the settings, or those of the run that ``-resume`` names, ask for.

    Args:
        config: the flags; see ``config.TrainConfig``.

    Raises:
        InputError: see ``open_run``, ``train_network``, ``train_folds``, ``train_system`` and ``train_anomaly``.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the message says how to go on.
    """
    run = open_run(with_local_folder(config))
    if run.config.task == ANOMALY:
        return train_anomaly(run)
    if run.config.folds is not None:
        return train_folds(run)
    return train_network(run) if run.config.system is None else train_system(run)
