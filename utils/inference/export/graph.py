"""A network as one graph of plain operations: uint8 images as they are read in, logits of the same size out."""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from utils.inference.export.pooling import replace_pooling
from utils.inference.export.upsampling import merge_upsampling
from utils.inference.network import Outputs
from utils.inference.systems.system import Size
from utils.models.segmenter import Segmenter
from utils.models.trunk import SIDE, Trunk

OPSET = 17  # of ONNX; read by ONNX Runtime from 1.13 (2022) on
TOLERANCE = 1e-3  # of the largest logit, between torch and a converted graph in f32


class Graph(nn.Module):
    """A network without branches on the size of the images, so that tracing it holds for every size.

    Args:
        model: the network, in evaluation mode.
        size: (H, W) of the images in pixels; none: any.
        input_size: (H, W) in pixels that images are resized to before the network, and masks back behind it; none: their
            own size.
    """

    def __init__(self, model: Segmenter, size: Size = None, input_size: Size = None) -> None:
        super().__init__()
        self.model, self.input_size = model, input_size
        self.fits = size is not None and not (size[0] % model.multiple or size[1] % model.multiple)
        self.eval()  # exporters put the model back into the mode of this module

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run on ``(N, H, W, channels)`` uint8 images; gives masks ``(N, K, H, W)``, labels ``(N, L)`` or both, float32."""
        height, width = images.shape[1], images.shape[2]
        if self.input_size is not None:
            masks, labels = Outputs.of(self.model(self._resized(images)))
            if masks is not None:
                masks = functional.interpolate(masks, size=(height, width), mode="bilinear", align_corners=False)
        else:
            if not self.fits:
                images = self.filled(images)
            masks, labels = Outputs.of(self.model(images.permute(0, 3, 1, 2)))
            if masks is not None and not self.fits:
                masks = masks[:, :, :height, :width]
        return tuple(part for part in (masks, labels) if part is not None)

    def filled(self, images: torch.Tensor) -> torch.Tensor:
        """Fill up to the network's multiple like the model itself, which branches on the size where this gathers."""
        height, width = images.shape[1], images.shape[2]
        below, right = -height % self.model.multiple, -width % self.model.multiple
        tiny = torch.as_tensor(below >= height) | torch.as_tensor(right >= width)

        def positions(length: Any, more: Any) -> torch.Tensor:
            index, last = torch.arange(length + more), length - 1
            # Mirrored without abs(), which OpenVINO 2026.4 gets wrong for whole numbers of a known size.
            return torch.where(tiny, index.clamp(max=last), torch.minimum(index, 2 * last - index))

        return images.index_select(1, positions(height, below)).index_select(2, positions(width, right))

    def _resized(self, images: torch.Tensor) -> torch.Tensor:
        """Resize as the pipeline does, which keeps whole grey values."""
        pixels = images.permute(0, 3, 1, 2).float()
        pixels = functional.interpolate(pixels, size=self.input_size, mode="bilinear", align_corners=False)
        return pixels.round().to(torch.uint8)


class EncoderGraph(nn.Module):
    """The first half of a network that judges images before it draws their masks (``Segmenter.encode``).

    Args:
        model: such a network, in evaluation mode.
    """

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model, self.whole = model, Graph(model)
        self.eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return, for ``(N, H, W, channels)`` uint8 images, the labels ``(N, L)`` and the encoder's maps, float32."""
        features, labels = self.model.encode(self.whole.filled(images).permute(0, 3, 1, 2))
        return labels, *features.maps


class DecoderGraph(nn.Module):
    """The second half: masks of the encoder's maps, of the size that the images were filled up to.

    Args:
        model: as for ``EncoderGraph``.
    """

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Return ``(N, K, H, W)`` float32 logits; see ``Segmenter.decode``."""
        return self.model.enlarged(self.model.net.decode(maps))  # type: ignore[operator]


def output_names(model: Segmenter) -> list[str]:
    """Return the names of a network's outputs in the order of ``Graph``: ``masks``, ``labels``."""
    with torch.inference_mode():
        return ["masks" if part.ndim == 4 else "labels" for part in Graph(model)(_example(model, None))]


def to_openvino(model: Segmenter, size: Size = None, input_size: Size = None) -> Any:
    """Convert to an ``openvino.Model`` with input ``images`` and outputs ``masks`` and ``labels``; f32 weights.

    Args:
        model: the network, in evaluation mode.
        size: see ``Graph``.
        input_size: see ``Graph``.
    """
    import openvino

    # Not for ONNX, whose programs are slower at transposed convolutions than at what they spare.
    merged = merge_upsampling(model)
    with _quiet():
        converted = openvino.convert_model(Graph(merged, size, input_size), example_input=_example(model, size))
    converted.reshape([-1, *(size or (-1, -1)), model.spec.channels])
    converted.inputs[0].get_tensor().set_names({"images"})
    for output, name in zip(converted.outputs, output_names(model), strict=True):
        output.get_tensor().set_names({name})
    return converted


def to_openvino_in_steps(model: Segmenter) -> tuple[Any, Any]:
    """Convert the two halves of a network that offers ``encode`` and ``decode``, for images of any size; f32 weights.

    Args:
        model: the network, in evaluation mode.

    Returns:
        An ``openvino.Model`` with input ``images`` and outputs ``labels`` and one for each of the encoder's maps, and one
        that takes these maps and gives ``masks`` of the size that the images were filled up to.
    """
    import openvino

    merged = merge_upsampling(model)
    images = _example(model, None)
    with _quiet():
        encoder = openvino.convert_model(EncoderGraph(merged), example_input=images)
        _, *maps = EncoderGraph(merged)(images)
        decoder = openvino.convert_model(DecoderGraph(merged), example_input=tuple(maps))
    return encoder, decoder


def trunk_to_openvino(trunk: Trunk) -> Any:
    """Convert the first part of a network, see ``utils.models.trunk``, to an ``openvino.Model``; f32 weights."""
    import openvino

    example = torch.zeros((1, trunk.model.spec.channels, SIDE, SIDE), dtype=torch.uint8)
    with _quiet():
        converted = openvino.convert_model(trunk, example_input=example)
    converted.reshape(list(example.shape))
    return converted


def to_onnx(model: Segmenter, size: Size = None, input_size: Size = None) -> bytes:
    """Convert to an ONNX file's bytes with input ``images`` and outputs ``masks`` and ``labels``; f32 weights.

    Args:
        model: the network, in evaluation mode.
        size: see ``Graph``.
        input_size: see ``Graph``.
    """
    names = output_names(model)
    images = {0: "count"} if size else {0: "count", 1: "height", 2: "width"}
    masks = {0: "count"} if size else {0: "count", 2: "height", 3: "width"}
    packed = io.BytesIO()
    with _quiet(), _silent_stdout():
        torch.onnx.export(
            Graph(replace_pooling(model), size, input_size),
            (_example(model, size),),
            packed,  # type: ignore[arg-type]
            input_names=["images"],
            output_names=names,
            dynamic_axes={"images": images, **{name: masks if name == "masks" else {0: "count"} for name in names}},
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs a package more and fixes sizes where a network looks at them
        )
    return packed.getvalue()


def takes_any_size(model: Segmenter, run: Any, input_size: Size = None) -> bool:
    """Check whether a graph that was converted for any size is right for sizes that tracing did not see.

    Some architectures fix sizes in Python (pyramids of pooled features, TensorFlow's padding): they need a graph for each
    size.

    Args:
        model: the network.
        run: runs the converted graph: ``(N, H, W, channels)`` uint8 -> list of float32 arrays; may raise RuntimeError.
        input_size: see ``Graph``.
    """
    random = np.random.default_rng(0)
    step = model.multiple
    for count, height, width in ((1, 5 * step, 2 * step), (3, 2 * step - 7, 4 * step + 3), (1, step // 4, 2 * step)):
        images = random.integers(0, 256, (count, height, width, model.spec.channels), dtype=np.uint8)
        with torch.inference_mode():
            wanted = Graph(model, None, input_size)(torch.from_numpy(images))
        try:
            got = run(images)
        except RuntimeError:  # shapes that do not fit; both libraries' errors are of this kind
            return False
        for mine, theirs in zip(wanted, got, strict=True):
            if mine.shape != theirs.shape:
                return False
            if np.abs(mine.numpy() - theirs).max() > TOLERANCE * max(1.0, float(mine.abs().max())):
                return False
    return True


def _example(model: Segmenter, size: Size) -> torch.Tensor:
    height, width = size or (3 * model.multiple, 4 * model.multiple)
    generator = torch.Generator().manual_seed(0)
    shape = (2, height, width, model.spec.channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the remarks that tracing makes about sizes; ``takes_any_size`` looks for itself."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """Keep a library from printing a whole network where it fails; it writes past Python's ``sys.stdout``."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
