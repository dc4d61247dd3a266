"""The first part of a network, which tells how an image looks: means of the channels of one of its layers.

It runs apart from the network itself, on a small square of each image, so that every backend gives the same numbers at little cost.
"""

import cv2
import numpy as np
import torch
from torch import nn

from utils.models.segmenter import Segmenter

SIDE = 80  # pixels of the square that is looked at
SEEN = 160  # pixels of the image that it shows, at half their size
MOST_WORK = 14e6  # multiplications of the part: half a millisecond of one core by OpenVINO
MOST_CHANNELS = 64  # more features than that have no covariance that some hundred images can tell
_LEAST_SIDE = 6  # cells; below that a layer sees the whole square, as a gate of squeeze and excitation does


class _Reached(Exception):
    """The layer has answered, so the rest of the network need not run."""


class Trunk(nn.Module):
    """Squares of images in, means of the channels of a layer out.

    Args:
        model: the network, in evaluation mode.
        layer: name of the layer in ``model.net``, which ``layer_of`` finds.

    Raises:
        ValueError: it has no such layer.
    """

    def __init__(self, model: Segmenter, layer: str) -> None:
        super().__init__()
        self.model, self._layer = model, layer
        if layer not in dict(model.net.named_modules()):
            raise ValueError(f"layer {layer}")
        self.eval()

    def forward(self, squares: torch.Tensor) -> torch.Tensor:
        """Return the means of the channels, ``(N, channels)`` float32, of ``(N, channels, SIDE, SIDE)`` uint8."""
        found: list[torch.Tensor] = []

        def reached(module: nn.Module, given: object, answer: torch.Tensor) -> None:
            found.append(answer)
            raise _Reached

        hook = self.model.net.get_submodule(self._layer).register_forward_hook(reached)
        try:
            self.model.net(self.model.normalised(squares))
        except _Reached:
            pass
        finally:
            hook.remove()
        return found[0].float().mean((2, 3))

    def features(self, image: np.ndarray) -> np.ndarray:
        """Return the means of an image, ``(H, W, channels)`` uint8: ``(channels,)`` float64."""
        with torch.inference_mode():
            means: np.ndarray = self(torch.from_numpy(square_of(image)))[0].double().numpy()
        return means


def square_of(image: np.ndarray) -> np.ndarray:
    """Return the middle of an image, ``(H, W, channels)`` uint8, as ``(1, channels, SIDE, SIDE)`` uint8."""
    height, width = image.shape[:2]
    side = min(height, width, SEEN)
    top, left = (height - side) // 2, (width - side) // 2
    cut = np.ascontiguousarray(image[top : top + side, left : left + side])
    small = cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side >= SIDE else cv2.INTER_LINEAR)
    return np.ascontiguousarray(small.reshape(SIDE, SIDE, -1).transpose(2, 0, 1)[None])


def layer_of(model: Segmenter) -> str | None:
    """Find the deepest layer of a network's encoder that costs at most ``MOST_WORK``, by running it once.

    Args:
        model: the network, in evaluation mode.

    Returns:
        Its name in ``model.net``; the first layer where that alone costs more; None: it has no such layer.
    """
    layers: list[tuple[str, int, int, float]] = []  # name, channels, height, multiplications until then
    work = 0.0

    def ran(name: str, module: nn.Module, answer: object) -> None:
        nonlocal work
        if not isinstance(answer, torch.Tensor):
            return
        if isinstance(module, nn.Conv2d | nn.Linear):
            work += answer[0].numel() * module.weight[0].numel()
        if answer.ndim == 4 and answer.shape[2] >= _LEAST_SIDE:
            layers.append((name, answer.shape[1], answer.shape[2], work))

    hooks = [
        module.register_forward_hook(lambda module, given, answer, name=name: ran(name, module, answer))
        for name, module in model.net.named_modules()
        if name
    ]
    try:
        with torch.inference_mode():
            model(torch.zeros(1, model.spec.channels, SIDE, SIDE, dtype=torch.uint8))
    finally:
        for hook in hooks:
            hook.remove()
    chosen, smallest = None, SIDE
    for name, channels, height, until in layers:
        if height > smallest or (chosen is not None and until > MOST_WORK):
            break  # it grows again: what follows is the decoder's
        smallest = height
        if channels <= MOST_CHANNELS and height < SIDE:
            chosen = name
    return chosen
