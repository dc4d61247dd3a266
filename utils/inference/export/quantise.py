"""8-bit integers by NNCF: faster on CPUs, at a price in accuracy that the caller has to measure."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.device import optional
from utils.inference.openvino_core import signal_stack_kept

# Scores what a compiled network says about images: by image, 0..1, where 1 is best.
Score = Callable[[Any, Sequence[Any]], list[float]]

RANKED_ON = 16  # images that each layer in turn is tried on, those that lose most
NAMED = 12  # layers that a terminal shows
_WITH_WEIGHTS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")
_WEIGHTS_GO_THROUGH = ("Convert", "Subtract", "Multiply", "Reshape", "FakeQuantize", "Transpose")


@dataclass(frozen=True)
class Limit:
    """How much 8-bit integers may cost, and who says what they cost.

    Attributes:
        score: of images that nothing is calibrated on.
        images: what ``score`` takes, each with ``pixels``, ``(H, W, channels)`` uint8.
        max_drop: of the mean score.
        seconds: for choosing the layers that stay in floating point; what is found until then is taken.
    """

    score: Score
    images: Sequence[Any]
    max_drop: float
    seconds: float


@dataclass(frozen=True)
class Quantised:
    """A network in 8-bit integers.

    Attributes:
        graph: an ``openvino.Model``.
        layers: how many of its layers have weights.
        in_float: names of those that stay in floating point, in the network's order.
        late: whether the time was over before the score was good enough.
    """

    graph: Any
    layers: int
    in_float: tuple[str, ...]
    late: bool = False

    def text(self) -> str:
        """Return as text for a terminal which layers stay in floating point."""
        if not self.in_float:
            return f"8-bit integers in all {self.layers} layers"
        late = "; the time of -max_minutes was over before that was enough" if self.late else ""
        kept = f"{len(self.in_float)} of {self.layers} layers stay in floating point, since they cost too much accuracy"
        more = len(self.in_float) - NAMED
        names = ", ".join(self.in_float[:NAMED]) + (f" and {more} more, see the report" if more > 0 else "")
        return f"8-bit integers: {kept}{late}:\n  {names}"


def quantise(graph: Any, images: Sequence[np.ndarray], limit: Limit | None = None) -> Quantised:
    """Make the layers of a graph compute in 8-bit integers.

    With a limit, NNCF's accuracy-aware mode puts the layers that cost most back into floating point, one after the other,
    until the score falls by no more than the limit.

    Args:
        graph: an ``openvino.Model`` that takes ``(N, H, W, channels)`` uint8.
        images: ``(H, W, channels)`` uint8, like those that it will see; they fix the ranges of the numbers.
        limit: none: every layer is taken, whatever it costs.

    Raises:
        InputError: NNCF is not installed.
    """
    nncf = open_nncf()
    dataset = nncf.Dataset(list(images), lambda image: image[None])
    # Symmetric ranges: OpenVINO computes them faster than MIXED's, see benchmarks/README.md.
    options = {"preset": nncf.QuantizationPreset.PERFORMANCE, "subset_size": len(images)}
    if limit is None:
        with signal_stack_kept():  # NNCF makes cores of its own
            found = nncf.quantize(graph, dataset, **options)
        return Quantised(found, *layers_of(found))
    scored = _Scored(limit)
    ranked_on = max(1, min(RANKED_ON, len(limit.images) // 2))
    with signal_stack_kept():
        found = nncf.quantize_with_accuracy_control(
            graph,
            dataset,
            nncf.Dataset(list(limit.images), lambda image: image.pixels[None]),
            scored,
            max_drop=limit.max_drop,
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=ranked_on,
                num_ranking_workers=1,  # each of several holds a compiled network
            ),
            **options,
        )
    return Quantised(found, *layers_of(found), late=scored.late)


def open_nncf() -> Any:
    """Import NNCF, and let it say errors alone.

    Raises:
        InputError: it is not installed.
    """
    nncf = optional("-int8", "nncf")
    nncf.set_log_level(logging.ERROR)
    return nncf


class _Scored:
    """What NNCF asks for scores, until the time is over.

    NNCF has no limit of time. Past ours, each layer that is still to be tried looks like the worst one to put back, and the
    network as it is looks good enough: so NNCF ends with what it has found.
    """

    def __init__(self, limit: Limit) -> None:
        self.late = False
        self._limit, self._best = limit, 0.0
        self._until: float | None = None  # the clock starts with the first score of the 8-bit network

    def __call__(self, compiled: Any, images: Iterable[Any]) -> tuple[float, list[float]]:
        given = list(images)
        whole = len(given) == len(self._limit.images)
        if self._until is not None and time.monotonic() > self._until:
            self.late = True
            value = self._best if whole else 0.0
            return value, [value] * len(given)
        values = self._limit.score(compiled, given)
        score = float(np.mean(values))
        if whole and self._until is None:
            self._until, self._best = time.monotonic() + self._limit.seconds, score
        return score, values


def layers_of(graph: Any) -> tuple[int, tuple[str, ...]]:
    """Return how many layers of an ``openvino.Model`` have weights, and the names of those whose weights are no 8-bit integers."""
    names: list[str] = []
    count = 0
    for layer in graph.get_ordered_ops():
        is_8_bit = _has_8_bit_weights(layer) if layer.get_type_name() in _WITH_WEIGHTS else None
        if is_8_bit is not None:
            count += 1
            names += [] if is_8_bit else [_plain(layer.get_friendly_name())]
    return count, tuple(names)


def _has_8_bit_weights(layer: Any) -> bool | None:
    """Check whether the weights of a layer are 8-bit integers, or made so by a ``FakeQuantize``; None: it has no weights."""
    source, quantised = layer.input_value(1).get_node(), False
    while source.get_type_name() in _WEIGHTS_GO_THROUGH:
        quantised |= source.get_type_name() == "FakeQuantize"
        source = source.input_value(0).get_node()
    if source.get_type_name() != "Constant":
        return None
    return quantised or source.get_element_type().get_type_name() in ("i8", "u8")


def _plain(name: str) -> str:
    """Return the name of a layer as the network's modules have it: tracing adds to it at both ends."""
    return name.removeprefix("__module.").partition("/")[0].removeprefix("model.").removeprefix("net.")
