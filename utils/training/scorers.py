"""What scores a network's answers to a set of images: its masks, its labels of whole images, or both."""

from dataclasses import dataclass
from typing import Any

from config import TrainConfig
from utils.models.spec import ModelSpec
from utils.training.flags import make_decision, make_label_thresholds
from utils.training.label_meter import ValidationLabels
from utils.training.meters import ValidationScores


@dataclass(frozen=True)
class Scorers:
    """The scorers of one network.

    Attributes:
        masks: None for a network that draws none.
        labels: None for a network that says nothing about whole images.
    """

    masks: ValidationScores | None
    labels: ValidationLabels | None

    @classmethod
    def of(cls, config: TrainConfig, spec: ModelSpec) -> "Scorers":
        """Make those that a network needs, by the decision of the run's settings."""
        decision, thresholds = make_decision(config, spec), make_label_thresholds(config, spec)
        return cls(
            ValidationScores(config.task, spec.scored_names, decision) if spec.outputs else None,
            ValidationLabels(spec.label_names, thresholds) if spec.labels else None,
        )

    @property
    def all(self) -> list[ValidationScores | ValidationLabels]:
        """Those that there are."""
        return [scorer for scorer in (self.masks, self.labels) if scorer is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return the last scores: of masks, and of labels under their own name; empty before there are any."""
        found: dict[str, Any] = {}
        if self.masks and self.masks.scores and self.masks.soft_dice:
            found |= {**self.masks.scores.to_dict(), **self.masks.soft_dice.to_dict()}
        if self.labels and self.labels.scores:
            found["labels"] = self.labels.scores.to_dict()
        return found
