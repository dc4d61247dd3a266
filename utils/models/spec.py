"""What a network is, in the few words that rebuild it."""

import dataclasses
from typing import Any

from utils.errors import InputError

TASKS = ("multilabel", "binary", "multiclass")


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Everything that fixes the network's layers.

    Args:
        architecture: SMP's name of the decoder, in lower case (``unet``, ``fpn``, ...).
        encoder: SMP's or timm's name of the encoder.
        task: ``multilabel`` (a sigmoid per class), ``binary`` (one sigmoid, any defect) or ``multiclass`` (softmax over
            background and the classes).
        class_names: names of the dataset's classes; class 1 comes first.
        channels: image channels.
    """

    architecture: str
    encoder: str
    task: str
    class_names: tuple[str, ...]
    channels: int = 3

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"task {self.task}: choose from {', '.join(TASKS)}")
        if not self.class_names:
            raise InputError("a network needs at least one class")
        if self.channels not in (1, 3):
            raise InputError(f"-channels {self.channels}: choose 1 (grey) or 3 (colour)")

    @property
    def scored_names(self) -> tuple[str, ...]:
        """Names of the masks that the network's decision has, in their order."""
        return ("defect",) if self.task == "binary" else self.class_names

    @property
    def outputs(self) -> int:
        """Number of logit channels; multiclass has the background as channel 0."""
        return len(self.scored_names) + (1 if self.task == "multiclass" else 0)

    def to_dict(self) -> dict[str, Any]:
        """Give the spec as plain words, numbers and lists."""
        return {**dataclasses.asdict(self), "class_names": list(self.class_names)}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "ModelSpec":
        """Rebuild a spec that ``to_dict`` made; raises ``InputError`` when a field is missing or unknown."""
        expected = {field.name for field in dataclasses.fields(cls)}
        if set(plain) != expected:
            raise InputError(
                f"model spec has {', '.join(sorted(map(str, plain)))}; expected {', '.join(sorted(expected))}"
            )
        return cls(**{**plain, "class_names": tuple(map(str, plain["class_names"]))})
