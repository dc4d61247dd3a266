"""Which of a teacher's answers about images without labels are worth learning: where it says the same however it looks."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.data.dataset import NOT_COUNTED
from utils.data.soft_masks import to_levels
from utils.errors import InputError
from utils.files import write_text

SURE = 0.5  # probability from which a pixel is a defect


@dataclass(frozen=True)
class Agreement:
    """How far the answers of two halves of the views agree about an image.

    Attributes:
        dice: of the masks of both, of all classes together; 1 where neither has a defect.
        gate: whether what judges the image as a whole says what the masks say; True where nothing does.
        unsure: share of the pixels that both decide differently, 0..1.
    """

    dice: float
    gate: bool
    unsure: float

    def accepted(self, least: float) -> bool:
        """Check whether the image is learnt, ``least`` being the smallest Dice."""
        return self.gate and self.dice >= least


def compare(turned: np.ndarray, mirrored: np.ndarray, passes: bool | None) -> tuple[Agreement, np.ndarray]:
    """Compare two answers about an image, and join them.

    Args:
        turned, mirrored: (C, H, W) float32 probabilities of both halves.
        passes: whether what judges the image as a whole finds a defect; None: nothing judges it.

    Returns:
        How far they agree, and (C, H, W) uint8 levels of their mean, ``NOT_COUNTED`` in all classes where they differ.
    """
    one, other = turned >= SURE, mirrored >= SURE
    both, total = int((one & other).sum()), int(one.sum()) + int(other.sum())
    mean = (turned + mirrored) / 2
    differ = (one != other).any(0)
    levels = to_levels(np.clip(mean, 0, 1))
    levels[:, differ] = NOT_COUNTED
    gate = passes is None or passes == bool((mean >= SURE).any())
    return Agreement(2 * both / total if total else 1.0, gate, float(differ.mean())), levels


def write_agreement(answer: Path, agreement: Agreement) -> None:
    """Keep it beside the file of an answer; the folder is made."""
    answer.parent.mkdir(parents=True, exist_ok=True)
    write_text(answer.with_suffix(".json"), json.dumps(dataclasses.asdict(agreement)) + "\n")


def read_agreement(answer: Path) -> Agreement:
    """Read what ``write_agreement`` wrote beside the file of an answer.

    Raises:
        InputError: it is missing or damaged.
    """
    path = answer.with_suffix(".json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Agreement(float(content["dice"]), bool(content["gate"]), float(content["unsure"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: missing or damaged; remove {answer.name} beside it and start again") from None
