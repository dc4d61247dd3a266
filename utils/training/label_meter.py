"""Scores of the labels of whole images on the validation set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from catalyst import dl

from utils.decision.probabilities import label_probabilities
from utils.scoring.labels import LabelAnswers, LabelScores, label_scores
from utils.training.engine import SteelEngine


class ValidationLabels(dl.Callback):
    """Scores of what the network says about whole images, from the answers of all processes together.

    Args:
        names: of the labels.
        thresholds: of each, probability 0..1 from which an image counts as having it.
    """

    def __init__(self, names: tuple[str, ...], thresholds: tuple[float, ...]) -> None:
        super().__init__(order=dl.CallbackOrder.Metric + 1)
        self.names, self.thresholds = names, thresholds
        self.answers = LabelAnswers()
        self.scores: LabelScores | None = None

    def on_loader_start(self, runner: dl.IRunner) -> None:
        """Forget the last epoch."""
        self.answers = LabelAnswers()

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Keep the answers of one batch."""
        if runner.is_valid_loader:
            self.add(runner.batch)

    def add(self, batch: Mapping[str, Any]) -> None:
        """Keep the answers of one batch.

        Args:
            batch: what ``collate`` gives, and ``labels``, ``(N, L)`` logits.
        """
        # Truth at the image's own size: resizing may lose a defect of a few pixels.
        truth = np.stack([(masks == 1).flatten(1).any(1).numpy() for masks in batch["truth"]])
        self.answers.add(batch["names"], label_probabilities(batch["labels"]), truth)

    def on_loader_end(self, runner: dl.IRunner) -> None:
        """Compute the scores of the whole validation set."""
        if not runner.is_valid_loader:
            return
        self.finish(runner.engine)
        assert self.scores
        mean = self.scores.together
        figures: dict[str, float | None] = {
            key: getattr(mean, key) for key in ("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision")
        }
        for name, score in self.scores.classes.items():
            figures |= {f"f1_{name}": score.f1, f"average_precision_{name}": score.average_precision}
        nothing = float("nan")  # of a label that no validation image has
        runner.loader_metrics.update({key: nothing if value is None else value for key, value in figures.items()})

    def finish(self, engine: SteelEngine) -> None:
        """Compute the scores of the answers of all processes."""
        together = LabelAnswers()
        for part in engine.gather(self.answers):
            together.merge(part)
        self.scores = label_scores(together, self.names, self.thresholds)
