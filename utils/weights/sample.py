"""A small image and what the network answers to it, kept beside published weights: how a copy is known to work."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from utils.errors import InputError
from utils.files import replacing

SIDE = 64
# Logits of one network on two machines differ by less.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Sample:
    """An input and its answers.

    Args:
        images: ``(1, channels, 64, 64)`` uint8.
        answers: float32, what the network gives for it: logits of masks, of labels, or of both.
    """

    images: np.ndarray
    answers: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, model: torch.nn.Module, channels: int) -> "Sample":
        """Ask a network in evaluation mode about a grey image with noise, a bright spot and a dark one."""
        random = torch.Generator().manual_seed(0)
        coarse = functional.interpolate(torch.rand(1, 1, 5, 5, generator=random), (SIDE, SIDE), mode="bicubic")
        grey = 70 + 90 * coarse + 12 * torch.randn(1, 1, SIDE, SIDE, generator=random)
        grey[..., 8:20, 10:34] += 70
        grey[..., 40:56, 40:48] -= 60
        images = grey.clamp(0, 255).to(torch.uint8).repeat(1, channels, 1, 1)
        return cls(images.numpy(), _answers(model, images))

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file in one step."""
        packed = io.BytesIO()
        arrays = {f"answer_{number}": answer for number, answer in enumerate(self.answers)}
        np.savez_compressed(packed, images=self.images, **arrays)  # type: ignore[arg-type]
        with replacing(path) as temporary:
            temporary.write_bytes(packed.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Sample":
        """Read what ``save`` wrote; raises ``InputError`` when it is not there or damaged."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                count = len(stored.files) - 1
                return cls(stored["images"], tuple(stored[f"answer_{number}"] for number in range(count)))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(f"{path}: no sample of a network ({error}); publish the weights again") from None

    def difference(self, model: torch.nn.Module) -> float:
        """Return the largest difference between a network's answers and those stored; infinity for other shapes."""
        answers = _answers(model, torch.from_numpy(self.images))
        if [answer.shape for answer in answers] != [answer.shape for answer in self.answers]:
            return float("inf")
        gaps = [np.abs(new - old).max() for new, old in zip(answers, self.answers, strict=True)]
        return float(np.nan_to_num(max(gaps), nan=np.inf))


@torch.inference_mode()
def _answers(model: torch.nn.Module, images: torch.Tensor) -> tuple[np.ndarray, ...]:
    answer: Any = model(images)
    parts = answer if isinstance(answer, (tuple, list)) else (answer,)
    return tuple(part.float().cpu().numpy() for part in parts if part is not None)
