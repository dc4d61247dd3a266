"""Catalyst's supervised runner, told what to train, on what, and what to do around each step."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from catalyst import dl
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader

from config import TrainConfig
from utils.models.segmenter import Segmenter, parts
from utils.training.checkpoints import Checkpoints
from utils.training.depthwise import depthwise_in_full
from utils.training.engine import SteelEngine
from utils.training.history import History, Progress
from utils.training.interruption import Interruption
from utils.training.losses import make_criterion
from utils.training.meters import EpochMeter, StepEnd
from utils.training.optimisation import make_optimizer, make_scheduler
from utils.training.scorers import Scorers
from utils.training.stepping import ClippedUpdate, GuardedBackward, MovingAverage, moving_average
from utils.training.tensorboard import TensorboardFiles
from utils.training.weight_mean import WeightMean
from utils.weights.run_files import CHECKPOINTS, HISTORY, TENSORBOARD


class SegmentationRunner(dl.SupervisedRunner):
    """Trains a ``Segmenter`` and leaves its files in a run folder.

    Args:
        config: the run's settings.
        engine: device, precision and processes.
        network: what to train.
        loaders: ``train`` and ``valid``.
        folder: the run folder.
        interruption: ends the training between two steps when a signal came.
        class_weights: what a pixel (of a classifier an image) of each class counts in the loss.
    """

    def __init__(
        self,
        config: TrainConfig,
        engine: SteelEngine,
        network: Segmenter,
        loaders: dict[str, DataLoader],
        folder: Path,
        interruption: Interruption | None = None,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(input_key="images", output_key="logits", target_key="masks", loss_key="loss")
        self.config, self.folder, self.interruption = config, folder, interruption
        self.class_weights = class_weights
        self.engine = engine
        self.network = network.to(device=engine.device).to(memory_format=torch.channels_last)
        self.given_loaders = loaders
        # A copy made before the engine wraps the network's forward, or it would run the original's weights.
        self.average: ModelEmaV3 | None = moving_average(self.network, config.ema) if config.ema else None
        self.mean = WeightMean(self.network, config.swa, config.num_epochs, interruption) if config.swa else None
        if engine.device.type == "cpu" and config.precision == "bf16":
            depthwise_in_full(self.network)
        self.scorers = Scorers.of(config, network.spec)
        self.history = History(folder / HISTORY, config.num_epochs)

    @property
    def evaluated(self) -> Segmenter:
        """The network that is validated and published: the moving average, or in the last epoch the mean, if there is one."""
        if self.mean and self.mean.completed(self.epoch_step):
            return self.mean.network
        return self.average.module if self.average else self.network  # type: ignore[return-value]

    def scores(self) -> dict[str, Any]:
        """Return the scores of the last validation: of masks, and of labels under their own name."""
        return self.scorers.to_dict()

    @property
    def seed(self) -> int:
        """The run's seed, from which Catalyst seeds each epoch."""
        return self.config.seed

    @property
    def num_epochs(self) -> int:
        """Epochs of the whole run."""
        return self.config.num_epochs

    def get_engine(self) -> SteelEngine:
        """Return the engine that has already joined the other processes."""
        return self.engine

    def get_loggers(self) -> dict[str, Any]:
        """Log to TensorBoard."""
        return {"tensorboard": TensorboardFiles(str(self.folder / TENSORBOARD))}

    def get_loaders(self) -> "OrderedDict[str, DataLoader]":
        """Return the loaders."""
        return OrderedDict(self.given_loaders)

    def get_model(self) -> nn.Module:
        """Return the network."""
        return self.network

    def get_criterion(self) -> nn.Module:
        """Return the loss."""
        return make_criterion(self.config, self.network.spec, self.class_weights)

    def get_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimizer."""
        return make_optimizer(self.config, self.network)

    def get_scheduler(self, optimizer: torch.optim.Optimizer) -> Any:
        """Make the schedule."""
        scheduler, self.schedule_step = make_scheduler(self.config, optimizer, len(self.given_loaders["train"]))
        return scheduler

    def get_callbacks(self) -> "OrderedDict[str, dl.Callback]":
        """Return the callbacks of each batch and epoch; Catalyst sorts them by their order."""
        meter = EpochMeter()
        update = ClippedUpdate(self.config.accumulate, self.config.clip_norm)
        average = MovingAverage(self.average, update) if self.average else self.mean
        checkpoints = Checkpoints(
            self.folder / CHECKPOINTS,
            self.history,
            self.scores,
            # Average precision needs no threshold: gates are calibrated after the training, and F1 at one threshold
            # would choose the epoch that happens to fit that one.
            "dice" if self.scorers.masks else "average_precision",
            average,
            self.config.top_k,
            self.config.early_stop,
        )
        callbacks: OrderedDict[str, dl.Callback] = OrderedDict(
            criterion=dl.CriterionCallback(input_key="answer", target_key="masks", metric_key="loss"),
            meter=meter,
            backward=GuardedBackward(self.config.accumulate),
            update=update,
            history=self.history,
            checkpoints=checkpoints,
            progress=Progress(self.config.num_epochs),
            step_end=StepEnd(meter),
        )
        if self.scorers.masks:
            callbacks["validation"] = self.scorers.masks
        if self.scorers.labels:
            callbacks["label_validation"] = self.scorers.labels
        if average:
            callbacks["average"] = average
        if self.interruption:
            callbacks["interruption"] = self.interruption
        if self.scheduler is not None:
            callbacks["scheduler"] = dl.SchedulerCallback(
                mode=self.schedule_step, loader_key="valid", metric_key="loss"
            )
        return callbacks

    def _setup_loaders(self) -> None:
        # Our loaders know their process already; accelerate would share them out a second time.
        self.loaders = self.get_loaders()

    def on_epoch_start(self, runner: dl.IRunner) -> None:
        """Fix the epoch's batches."""
        super().on_epoch_start(runner)
        for loader in self.loaders.values():
            loader.batch_sampler.set_epoch(self.epoch_step)  # type: ignore[union-attr]

    def on_batch_start(self, runner: dl.IRunner) -> None:
        """Bring the batch to the device."""
        super().on_batch_start(runner)
        device = self.engine.device
        for key in ("images", "masks"):
            self.batch[key] = self.batch[key].to(device, non_blocking=True)

    def forward(self, batch: Mapping[str, Any], **kwargs: Any) -> Mapping[str, Any]:
        """Run the network on a batch: the live one in training, the one to be published in validation."""
        if self.is_train_loader or self.evaluated is self.network:
            answer = self.model(batch["images"], **kwargs)
        else:
            with self.engine.autocast():
                answer = self.evaluated(batch["images"])
        masks, labels = parts(answer)
        return {"answer": answer, "logits": masks, "labels": labels}
