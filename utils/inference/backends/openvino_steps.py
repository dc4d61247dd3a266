"""OpenVINO for a network with a shared backbone: the decoder runs only for the images that a gate chooses."""

import queue
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from utils.inference.backends.store import Store
from utils.inference.export.graph import takes_any_size, to_openvino_in_steps
from utils.inference.network import ChooseImages, Outputs
from utils.models.architectures import own_class
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile

HALVES = ("encoder", "decoder")
PRECISION = "INFERENCE_PRECISION_HINT"


def has_steps(spec: ModelSpec) -> bool:
    """Check whether a network can judge an image before it draws masks."""
    return hasattr(own_class(spec.architecture), "encode")


class Steps:
    """The two halves of a network, compiled for each size of images.

    Args:
        weights: the network.
        store: where its converted halves are kept.
        core: OpenVINO's.
        version: OpenVINO's.
        options: to compile with.
        streams: images that are worked on at once.
    """

    def __init__(
        self, weights: WeightsFile, store: Store, core: Any, version: str, options: Mapping[str, Any], streams: int
    ) -> None:
        self._weights, self._store, self._core, self._version = weights, store, core, version
        self._options, self._streams = dict(options), streams
        self._lock = threading.Lock()
        self._pairs: dict[tuple[int, int], queue.SimpleQueue[_Pair]] = {}
        self._halves = self._open()

    @property
    def fits(self) -> bool:
        """Whether the halves do what the whole does; false for encoders that cannot be converted for any size."""
        return self._halves is not None

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """Sizes that it is compiled for."""
        return set(self._pairs)

    def __call__(self, images: np.ndarray, choose: ChooseImages) -> Outputs:
        """Run on a batch, see ``Network``."""
        count, height, width = images.shape[:3]
        pairs = self._compiled((height, width))
        pair = pairs.get()
        labels, masks, drawn = [], None, 0
        try:
            for index in range(count):
                found = torch.from_numpy(pair.judge(images[index : index + 1]).copy())
                labels.append(found)
                if bool(choose(found)[0]):
                    part = pair.draw()[0, :, :height, :width]
                    if masks is None:  # memory that is never written to costs nothing
                        masks = np.empty((count, *part.shape), dtype=np.float32)
                    masks[drawn] = part
                    drawn += 1
        finally:
            pairs.put(pair)
        return Outputs(None if masks is None else torch.from_numpy(masks[:drawn]), torch.cat(labels))

    def _compiled(self, size: tuple[int, int]) -> "queue.SimpleQueue[_Pair]":
        assert self._halves is not None
        with self._lock:
            if size not in self._pairs:
                pairs: queue.SimpleQueue[_Pair] = queue.SimpleQueue()
                compiled = self._compile(self._halves, 1, size, self._options)
                for _ in range(self._streams):
                    pairs.put(_Pair(*compiled))
                self._pairs[size] = pairs
            return self._pairs[size]

    def _compile(
        self, halves: tuple[Any, Any], count: int, size: tuple[int, int], options: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        encoder, decoder = _handing_over(halves, options)
        encoder.reshape([count, *size, self._weights.spec.channels])
        first = self._core.compile_model(encoder, "CPU", dict(options))
        decoder.reshape({index: tuple(output.shape) for index, output in enumerate(first.outputs[1:])})
        return first, self._core.compile_model(decoder, "CPU", dict(options))

    def _open(self) -> tuple[Any, Any] | None:
        """Return the halves for any size, converted or kept from earlier."""
        names, note = [f"openvino-{self._version}-{half}" for half in HALVES], f"openvino {self._version} in steps"
        if self._store.note(note) is False:
            return None
        encoder, decoder = (self._store.read_openvino(self._core, name) for name in names)
        if encoder is not None and decoder is not None:
            return encoder, decoder
        model = self._weights.build()
        try:
            halves = to_openvino_in_steps(model)
            fits = takes_any_size(model, lambda images: self._run_once(halves, images))
        except Exception:
            fits = False
        self._store.put_note(note, fits)
        if not fits:
            return None
        for name, half in zip(names, halves, strict=True):
            self._store.keep_openvino(name, half)
        return halves

    def _run_once(self, halves: tuple[Any, Any], images: np.ndarray) -> list[np.ndarray]:
        """Run both halves as they will be used, compiled for one size; in f32, since rounding is not in question."""
        count, height, width = images.shape[:3]
        pair = _Pair(*self._compile(halves, count, (height, width), {PRECISION: "f32"}))
        labels = pair.judge(images)
        return [pair.draw()[..., :height, :width], labels]


class _Pair:
    """Requests to both halves, with memory of their own; the second reads what the first wrote.

    The tensors are set once, as ``_Request`` of the whole network explains.
    """

    def __init__(self, encoder: Any, decoder: Any) -> None:
        import openvino

        self._judging, self._drawing = encoder.create_infer_request(), decoder.create_infer_request()
        self._images = np.zeros(tuple(encoder.inputs[0].shape), dtype=np.uint8)
        self._judging.set_input_tensor(0, openvino.Tensor(self._images, shared_memory=True))
        # Kept here, since OpenVINO does not keep them alive.
        self._labels = np.zeros(tuple(encoder.outputs[0].shape), dtype=np.float32)
        self._judging.set_output_tensor(0, openvino.Tensor(self._labels, shared_memory=True))
        self._maps = [openvino.Tensor(output.element_type, output.shape) for output in encoder.outputs[1:]]
        for index, tensor in enumerate(self._maps):
            self._judging.set_output_tensor(index + 1, tensor)
            self._drawing.set_input_tensor(index, tensor)
        self._masks = np.zeros(tuple(decoder.outputs[0].shape), dtype=np.float32)
        self._drawing.set_output_tensor(0, openvino.Tensor(self._masks, shared_memory=True))

    def judge(self, images: np.ndarray) -> np.ndarray:
        """Return ``(N, L)`` logits of ``(N, H, W, channels)`` uint8 images; overwritten by the next call."""
        self._images[...] = images
        self._judging.start_async()
        self._judging.wait()
        return self._labels

    def draw(self) -> np.ndarray:
        """Return ``(N, K, h, w)`` logits of the images judged last; overwritten by the next call."""
        self._drawing.start_async()
        self._drawing.wait()
        return self._masks


def _handing_over(halves: tuple[Any, Any], options: Mapping[str, Any]) -> list[Any]:
    """Copy both halves; the maps go from one to the other as they are computed, or widening them takes a fifth of the time."""
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    if options.get(PRECISION) != "bf16":
        return [half.clone() for half in halves]
    giving, taking = (PrePostProcessor(half.clone()) for half in halves)
    for index in range(1, len(halves[0].outputs)):
        giving.output(index).tensor().set_element_type(Type.bf16)
        taking.input(index - 1).tensor().set_element_type(Type.bf16)
    return [giving.build(), taking.build()]
