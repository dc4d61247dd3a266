"""What turns logits into masks: thresholds and areas of every class as one value."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """How logits become masks.

    Attributes:
        thresholds: per scored class, probability 0..1 from which a pixel counts.
        min_areas: per scored class, smallest connected defect in pixels of the original image.
        max_areas: per scored class, largest connected defect in such pixels, None where there is no limit; left out:
            no limits.
        high_thresholds: per scored class, probability 0..1 that a connected defect must reach somewhere, 0 where
            nothing is asked; left out: of no class.
    """

    thresholds: tuple[float, ...]
    min_areas: tuple[int, ...]
    max_areas: tuple[int | None, ...] = ()
    high_thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.max_areas:
            object.__setattr__(self, "max_areas", (None,) * len(self.thresholds))
        if not self.high_thresholds:
            object.__setattr__(self, "high_thresholds", (0.0,) * len(self.thresholds))
