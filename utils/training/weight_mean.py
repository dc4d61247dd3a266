"""Stochastic weight averaging: the mean of the weights of the last epochs, with batch statistics of its own.

P. Izmailov and others, Averaging weights leads to wider optima and better generalization, 2018 (arXiv 1803.05407).
"""

from collections.abc import Iterator
from typing import Any

import torch
from catalyst import dl
from torch.optim.swa_utils import AveragedModel, update_bn

from config import TrainConfig
from utils.errors import InputError
from utils.models.segmenter import Segmenter
from utils.training.interruption import Interruption


class WeightMean(dl.Callback):
    """Takes the weights at the end of each of the last epochs into their mean, and completes it in the last one.

    The mean of weights is none of the batch norms' statistics: these are those of another pass over the training images of
    the last epoch, cropped and augmented as the network has seen them.

    Args:
        network: what is trained; copied, before an engine wraps it.
        epochs: how many count.
        num_epochs: of the run.
        interruption: ends the pass between two batches.
    """

    def __init__(
        self, network: Segmenter, epochs: int, num_epochs: int, interruption: Interruption | None = None
    ) -> None:
        # After the update of the last batch, and after the epoch's seconds were measured.
        super().__init__(order=dl.CallbackOrder.Optimizer + 1)
        self.mean = AveragedModel(network)
        self.epochs, self.num_epochs, self.interruption = epochs, num_epochs, interruption

    @property
    def network(self) -> Segmenter:
        """The network with the mean of the weights."""
        return self.mean.module  # type: ignore[return-value]

    def completed(self, epoch: int) -> bool:
        """Check whether the mean is that of all epochs that count, after this epoch's training."""
        return epoch >= self.num_epochs

    def on_loader_end(self, runner: dl.IRunner) -> None:
        """Take an epoch's weights into the mean."""
        if not runner.is_train_loader or runner.epoch_step <= self.num_epochs - self.epochs:
            return
        self.mean.update_parameters(runner.network)
        if self.completed(runner.epoch_step):
            with runner.engine.autocast():
                update_bn(self._images(runner), self.network)
            self.network.eval()
            if runner.engine.num_processes > 1:
                self._join_processes(runner.engine.num_processes)

    def _images(self, runner: dl.IRunner) -> Iterator[torch.Tensor]:
        """Yield the training images of this epoch once more."""
        for batch in runner.loaders["train"]:
            if self.interruption:
                self.interruption.end_if_requested()
            yield batch["images"].to(runner.engine.device, non_blocking=True)

    def _join_processes(self, processes: int) -> None:
        """Average the statistics of all processes, each of which has seen as many batches."""
        for buffer in self.network.buffers():
            if buffer.is_floating_point():
                torch.distributed.all_reduce(buffer)
                buffer /= processes

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs; before the first of the epochs that count, nothing."""
        counted = int(self.mean.n_averaged)
        return {"counted": counted, "module": self.network.state_dict()} if counted else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``."""
        if state:
            self.mean.n_averaged.fill_(state["counted"])
            self.network.load_state_dict(state["module"])


def check_weight_mean(config: TrainConfig) -> None:
    """Raise ``InputError`` where ``-swa`` does not fit the other flags of a network."""
    if not config.swa:
        return
    if config.ema:
        raise InputError(f"-swa {config.swa}: beside -ema there would be two averages; leave one of the two out")
    if config.early_stop:
        raise InputError(
            f"-swa {config.swa}: averages the last of all -num_epochs, which -early_stop may leave out; leave one of the two"
            " out"
        )
    if config.swa > config.num_epochs:
        raise InputError(f"-swa {config.swa}: more epochs than the {config.num_epochs} of -num_epochs; take fewer")


def mean_in_words(swa: int, num_epochs: int) -> str:
    """Return which epochs the mean of the weights is of."""
    first = num_epochs - swa + 1
    return "the weights of the last epoch" if swa == 1 else f"the mean of the weights of epochs {first} to {num_epochs}"
