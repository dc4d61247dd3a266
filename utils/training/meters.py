"""Callbacks that measure an epoch: loss, scores, speed, time spent waiting for data."""

import time
from collections.abc import Mapping
from typing import Any

from catalyst import dl

from utils.data.dataset import NOT_COUNTED
from utils.decision.decision import Decision
from utils.decision.masks import resize_logits
from utils.decision.probabilities import mask_probabilities
from utils.scoring.counts import Counts, count
from utils.scoring.scores import Scores, scores
from utils.scoring.soft import SoftCounts, SoftDice, soft_count, soft_dice
from utils.training.engine import SteelEngine


class EpochMeter(dl.Callback):
    """Sums of the loss over all images of all processes, images per second, and the share of time spent waiting."""

    def __init__(self) -> None:
        super().__init__(order=dl.CallbackOrder.MetricAggregation)
        self.loss_sum, self.images, self.waited = 0.0, 0, 0.0
        self.started = self.ready = 0.0

    def on_loader_start(self, runner: dl.IRunner) -> None:
        """Begin to measure."""
        self.loss_sum, self.images, self.waited = 0.0, 0, 0.0
        self.started = self.ready = time.perf_counter()

    def on_batch_start(self, runner: dl.IRunner) -> None:
        """Count the time since the last batch ended as waiting."""
        self.waited += time.perf_counter() - self.ready

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Add the batch's loss, weighted by its images."""
        self.loss_sum += float(runner.batch_metrics["loss"].detach()) * runner.batch_size
        self.images += runner.batch_size

    def on_loader_end(self, runner: dl.IRunner) -> None:
        """Put the epoch's figures where Catalyst looks for them."""
        for key in ("loss/mean", "loss/std"):  # Catalyst's own, which know one process only
            runner.loader_metrics.pop(key, None)
        seconds = time.perf_counter() - self.started
        parts = runner.engine.gather((self.loss_sum, self.images, self.waited))
        images = sum(part[1] for part in parts)
        runner.loader_metrics.update(
            loss=sum(part[0] for part in parts) / images,
            seconds=seconds,
            images_per_second=images / seconds,
            seconds_waiting=max(part[2] for part in parts),
        )


class StepEnd(dl.Callback):
    """Tells an ``EpochMeter`` that all work on a batch is done; runs after every other callback."""

    def __init__(self, meter: EpochMeter) -> None:
        super().__init__(order=dl.CallbackOrder.External + 10)
        self.meter = meter

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Start to wait."""
        self.meter.ready = time.perf_counter()


class ValidationScores(dl.Callback):
    """Scores of the network's decision at each image's own size, from counts summed over all processes.

    Beside the exact Dice of the decision stands the soft Dice of the probabilities, see ``utils.scoring.soft``.

    Args:
        task: of the network.
        names: of the scored classes.
        decision: how logits become masks.
    """

    def __init__(self, task: str, names: tuple[str, ...], decision: Decision) -> None:
        super().__init__(order=dl.CallbackOrder.Metric + 1)
        self.task, self.names, self.decision = task, names, decision
        self.counts, self.soft = Counts(), SoftCounts()
        self.scores: Scores | None = None
        self.soft_dice: SoftDice | None = None

    def on_loader_start(self, runner: dl.IRunner) -> None:
        """Forget the last epoch."""
        self.counts, self.soft = Counts(), SoftCounts()

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Count the pixels of one batch."""
        if runner.is_valid_loader:
            self.add(runner.batch)

    def add(self, batch: Mapping[str, Any]) -> None:
        """Count the pixels of one batch.

        Args:
            batch: what ``collate`` gives, and ``logits``, ``(N, C, H, W)``.
        """
        for logits, size, truth, name in zip(
            batch["logits"], batch["sizes"], batch["truth"], batch["names"], strict=True
        ):
            height, width = truth.shape[-2:]
            # A network in channels_last memory gives its logits in it too, which takes longer to resize than to copy.
            cut = logits[None, :, : size[0], : size[1]].contiguous()
            own_size = resize_logits(cut, height, width)
            decided = self.decision.apply(own_size, self.task)
            target = truth[None].to(decided.device)
            ignored = target[:, 0] == NOT_COUNTED
            probabilities = mask_probabilities(own_size, self.task)
            if ignored.any():
                target = target.masked_fill(ignored[:, None], 0)
                probabilities = probabilities.masked_fill(ignored[:, None], 0)
            self.counts.add([name], *count(decided, target, ignored))
            self.soft.add([name], *soft_count(probabilities, target))

    def on_loader_end(self, runner: dl.IRunner) -> None:
        """Compute the scores of the whole validation set."""
        if not runner.is_valid_loader:
            return
        self.finish(runner.engine)
        assert self.scores
        assert self.soft_dice
        figures = {"dice": self.scores.mean_dice, "empty_baseline": self.scores.empty_baseline}
        optional = {"defect_dice": self.scores.defect_dice, "iou": self.scores.iou, **self.soft_dice.to_dict()}
        for name, score in self.scores.classes.items():
            optional |= {f"dice_{name}": score.mean_dice, f"iou_{name}": score.iou}
        nothing = float("nan")  # a class without ground truth has no IoU
        figures |= {key: nothing if value is None else value for key, value in optional.items()}
        runner.loader_metrics.update(figures)

    def finish(self, engine: SteelEngine) -> None:
        """Compute the scores of what all processes have counted."""
        together, soft = Counts(), SoftCounts()
        for counts, sums in engine.gather((self.counts, self.soft)):
            together.merge(counts)
            soft.merge(sums)
        self.scores, self.soft_dice = scores(together, self.names), soft_dice(soft, self.names)
