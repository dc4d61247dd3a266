"""What a network's encoder makes of a whole image: images that look alike to it lie near each other."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from utils.device import choose_device
from utils.errors import InputError
from utils.inference.network import LARGEST_MULTIPLE
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile

AREA = 256 * 256  # pixels that an image is shrunk to: what it looks like as a whole needs no more


class Embedding:
    """The encoder of a network.

    Args:
        weights: of a system the first network that draws masks.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: the network has no encoder, or the machine no such device.
    """

    def __init__(self, weights: WeightsFile | SystemFile, device: str = "auto") -> None:
        if isinstance(weights, SystemFile):
            members = list(weights.members.values())
            weights = next((one for one in members if not one.spec.is_classifier), members[0])
        self.channels = weights.spec.channels
        self._device = choose_device(device)
        self._model = weights.build().to(self._device)
        if not hasattr(self._model.net, "encoder"):
            raise InputError(
                f"{weights.spec.architecture}: has no encoder, by which images are compared; name other weights"
            )

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the features of an image.

        Args:
            image: (H, W, channels) uint8.

        Returns:
            (D,) float32 of length 1: the means of the channels of the last two stages, each stage of equal weight.
        """
        scale = min(1.0, float(np.sqrt(AREA / (image.shape[0] * image.shape[1]))))
        size = [
            max(LARGEST_MULTIPLE, round(side * scale / LARGEST_MULTIPLE) * LARGEST_MULTIPLE) for side in image.shape[:2]
        ]
        small = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA).reshape(*size, -1)
        batch = torch.from_numpy(np.ascontiguousarray(small)).permute(2, 0, 1)[None].to(self._device)
        stages = self._model.net.encoder(self._model.normalised(batch))  # type: ignore[operator]
        return joined([stage.float().mean((-2, -1))[0].cpu().numpy() for stage in stages[-2:]])


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join vectors to one of length 1, each with the same weight."""
    scaled = [part / max(float(np.linalg.norm(part)), 1e-12) for part in parts]
    return (np.concatenate(scaled) / np.sqrt(len(scaled))).astype(np.float32)
