"""What turns logits into masks: thresholds and areas of every class as one value, and the one way to apply them.

The steps of that way can be taken one by one: ``decide`` on the device of the network, then ``filter_defects`` or
``find_defects`` in threads behind it.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from utils.decision import masks as steps
from utils.decision.decided_logits import DecidedLogits
from utils.errors import InputError

_ALWAYS = ("thresholds", "min_areas")  # in files of every version
_LEAST_AREAS = {"min_areas": 0, "max_areas": 1}  # pixels; the other numbers of a decision are probabilities


def each(flag: str, value: Any, count: int, names: Sequence[str] = ()) -> tuple[Any, ...]:
    """Return the values of a flag for each class: ``value`` for all, or those that it holds.

    Args:
        flag: name of the flag, for the message.
        value: a number, or a tuple of them.
        count: number of classes; of none (a classifier's masks) there are no values, whatever was given.
        names: of the classes, for the message; () where nobody knows them.

    Raises:
        InputError: values for another number of classes.
    """
    if not isinstance(value, tuple):
        return (value,) * count
    if count and len(value) != count:
        order = f"in the order {', '.join(names)}" if names else "in the order of the network's"
        raise InputError(
            f"-{flag} {','.join(map(str, value))}: {len(value)} values for {count} class{'es' if count > 1 else ''}; give"
            f" one value, or one for each class {order}"
        )
    return value if count else ()


@dataclasses.dataclass(frozen=True)
class ClassDecision:
    """How one class is decided.

    Attributes:
        threshold: probability 0..1 from which a pixel counts.
        min_area: smallest connected defect in pixels of the original image; 0: no limit.
        max_area: largest connected defect in such pixels; None: no limit.
        high_threshold: probability 0..1 that a connected defect must reach somewhere; 0: nothing is asked.
    """

    threshold: float
    min_area: int = 0
    max_area: int | None = None
    high_threshold: float = 0.0


@dataclasses.dataclass(frozen=True)
class Decision:
    """How logits become masks: for each of C scored classes what ``ClassDecision`` holds for one.

    Attributes:
        thresholds: C probabilities 0..1.
        min_areas: C areas in pixels.
        max_areas: C areas in pixels, None where there is no limit; left out: no limits.
        high_thresholds: C probabilities 0..1, 0 where nothing is asked; left out: of no class.

    Raises:
        ValueError: not one number for each class, or one out of its range: by none of them may all defects vanish unsaid.
    """

    thresholds: tuple[float, ...]
    min_areas: tuple[int, ...]
    max_areas: tuple[int | None, ...] = ()
    high_thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.thresholds)
        object.__setattr__(self, "max_areas", self.max_areas or (None,) * count)
        object.__setattr__(self, "high_thresholds", self.high_thresholds or (0.0,) * count)
        for name, numbers in vars(self).items():
            if len(numbers) != count:
                raise ValueError(f"{name} {numbers}: expected {count} numbers")
            least = _LEAST_AREAS.get(name)
            for number in numbers:
                if least is None and not 0 <= number <= 1:
                    raise ValueError(f"{name} {number:g}: expected a probability 0..1")
                if least is not None and number is not None and not (number >= least and float(number).is_integer()):
                    raise ValueError(f"{name} {number:g}: expected whole pixels, {least} or more")

    @classmethod
    def uniform(
        cls,
        count: int,
        threshold: float | tuple[float, ...],
        min_area: int | tuple[int, ...] = 0,
        max_area: int | tuple[int, ...] = 0,
        high_threshold: float | tuple[float, ...] = 0.0,
        names: Sequence[str] = (),
    ) -> "Decision":
        """Build the decision of ``count`` classes as flags give it: a value for all or one for each; no limit is 0.

        ``names`` are those of the classes, for the message.

        Raises:
            InputError: values for another number of classes.
        """
        return cls(
            each("threshold", threshold, count, names),
            each("min_area", min_area, count, names),
            tuple(area or None for area in each("max_area", max_area, count, names)),
            each("high_threshold", high_threshold, count, names),
        )

    @classmethod
    def of_classes(cls, classes: Iterable[ClassDecision]) -> "Decision":
        """Build a decision from that of each class."""
        rows = [dataclasses.astuple(one) for one in classes]
        return cls(*zip(*rows, strict=True)) if rows else cls((), ())

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Decision":
        """Build a decision from lists as ``to_dict`` returns them; files of older versions lack the last two.

        Raises:
            KeyError, ValueError: lists are missing, hold something else, or differ in length.
        """
        for name in ("thresholds", "min_areas", "max_areas", "high_thresholds"):
            numbers = content[name] if name in _ALWAYS else content.get(name, ())
            absent = name == "max_areas"  # there None is no limit
            if not isinstance(numbers, (list, tuple)) or not all(
                type(number) in (int, float) or (absent and number is None) for number in numbers
            ):
                raise ValueError(f"{name} {numbers!r:.60}: expected a list of numbers")
        decision = cls(
            tuple(map(float, content["thresholds"])),
            tuple(content["min_areas"]),
            tuple(content.get("max_areas", ())),
            tuple(map(float, content.get("high_thresholds", ()))),
        )
        whole = tuple(None if area is None else int(area) for area in decision.max_areas)
        return dataclasses.replace(decision, min_areas=tuple(map(int, decision.min_areas)), max_areas=whole)

    def to_dict(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the numbers as files and summaries hold them: a list for each attribute, or a dict by class name."""
        if names is None:
            return {key: list(numbers) for key, numbers in vars(self).items()}
        return {key: dict(zip(names, numbers, strict=True)) for key, numbers in vars(self).items()}

    @property
    def per_class(self) -> tuple[ClassDecision, ...]:
        """The decision of each class."""
        return tuple(map(ClassDecision, *vars(self).values()))

    def overruled(
        self,
        threshold: float | tuple[float, ...] | None = None,
        min_area: int | tuple[int, ...] | None = None,
        max_area: int | tuple[int, ...] | None = None,
        high_threshold: float | tuple[float, ...] | None = None,
        names: Sequence[str] = (),
    ) -> "Decision":
        """Return the decision that flags overrule: None keeps, else a value for all classes or one for each.

        A largest area of 0 is no limit. ``names`` are those of the classes, for the message.

        Raises:
            InputError: values for another number of classes.
        """
        count = len(self.thresholds)
        changes: dict[str, Any] = {}
        if threshold is not None:
            changes["thresholds"] = each("threshold", threshold, count, names)
        if min_area is not None:
            changes["min_areas"] = each("min_area", min_area, count, names)
        if max_area is not None:
            changes["max_areas"] = tuple(area or None for area in each("max_area", max_area, count, names))
        if high_threshold is not None:
            changes["high_thresholds"] = each("high_threshold", high_threshold, count, names)
        return dataclasses.replace(self, **changes)

    def with_min_areas(self, min_areas: Sequence[int] | None) -> "Decision":
        """Return the decision with the smallest areas that a gate set for an image; None keeps."""
        return self if min_areas is None else dataclasses.replace(self, min_areas=tuple(min_areas))

    def check_areas(self, names: Sequence[str]) -> None:
        """Check the areas of the classes of these names.

        Raises:
            InputError: a largest area is below the smallest.
        """
        for name, one in zip(names, self.per_class, strict=True):
            if one.max_area is not None and one.max_area < one.min_area:
                raise InputError(
                    f"class {name}: its largest area, {one.max_area}, is below its smallest, {one.min_area}; correct"
                    " -max_area or -min_area"
                )

    def apply(self, logits: torch.Tensor, task: str) -> torch.Tensor:
        """Compute the masks of some images: decide, then drop what is too small, too large or without a seed.

        Args:
            logits: ``(N, K, H, W)`` float.
            task: as in ``masks.decide``.

        Returns:
            ``(N, C, H, W)`` bool on the device of ``logits``.
        """
        return self.filter_defects(self.decide(logits, task), logits, task)

    def apply_and_find(self, logits: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
        """Compute the masks of one image as ``apply`` does, and describe its defects.

        Args:
            logits: ``(K, H, W)`` float32.
            task: as in ``masks.decide``.

        Returns:
            ``(C, H, W)`` bool, and a table of dtype ``DEFECT``.
        """
        return self.find_defects(self.decide(torch.from_numpy(logits[None]), task)[0].numpy(), logits, task)

    def decide(self, logits: torch.Tensor, task: str) -> torch.Tensor:
        """Decide per pixel and class, see ``masks.decide``: the first step of ``apply``."""
        return steps.decide(logits, task, self.thresholds)

    def filter_defects(self, masks: torch.Tensor, logits: torch.Tensor, task: str) -> torch.Tensor:
        """Drop defects of decided masks, see ``masks.filter_defects``: the second step of ``apply``.

        Args:
            masks: ``(N, C, H, W)`` bool, from ``decide``.
            logits: ``(N, K, H, W)`` float that they were decided from.
            task: as in ``masks.decide``.
        """
        seeds = steps.find_seeds(logits, task, self.high_thresholds)
        return steps.filter_defects(masks, self.min_areas, self.max_areas, seeds)

    def find_defects(
        self, masks: np.ndarray, logits: np.ndarray | DecidedLogits, task: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Drop defects of one image's decided masks and describe the others, see ``masks.find_defects``.

        Args:
            masks: ``(C, H, W)`` bool, from ``decide``; changed in place.
            logits: ``(K, H, W)`` float32 that they were decided from, or those of the decided pixels.
            task: as in ``masks.decide``.
        """
        return steps.find_defects(masks, logits, task, self.min_areas, self.max_areas, self.high_thresholds)
