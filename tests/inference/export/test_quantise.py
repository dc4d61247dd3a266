"""8-bit integers: which layers stay in floating point is read from the graph, and the choice of them ends in time."""

import time
from types import SimpleNamespace

import numpy as np
import openvino
import pytest
from openvino import opset8 as ov

from utils.inference.export.quantise import Limit, Quantised, _Scored, layers_of, quantise
from utils.inference.openvino_core import openvino_core


def graph_of(*quantised: bool) -> openvino.Model:
    """Build a chain of convolutions whose weights are quantised or not."""
    data = ov.parameter([1, 8, 8, 3], np.uint8, name="images")
    flow = ov.transpose(ov.convert(data, "f32"), np.array([0, 3, 1, 2]))
    random = np.random.default_rng(0)
    for number, is_quantised in enumerate(quantised):
        weights = ov.constant(random.normal(size=(3, 3, 3, 3)).astype(np.float32))
        if is_quantised:
            low, high = np.float32(-1), np.float32(1)
            weights = ov.fake_quantize(weights, low, high, low, high, 255)
        flow = ov.convolution(flow, weights, [1, 1], [1, 1], [1, 1], [1, 1])
        flow.set_friendly_name(f"__module.model.net.decoder.{number}.conv/aten::_convolution/Convolution")
    return openvino.Model([ov.matmul(flow, ov.convert(flow, "f32"), False, True)], [data])


def test_layers_in_floating_point_are_named_as_in_the_network():
    assert layers_of(graph_of(True, False, True)) == (3, ("decoder.1.conv",))  # a product of two maps has no weights
    assert layers_of(graph_of(True)) == (1, ())


def test_words_say_which_layers_stay_and_why():
    assert Quantised(None, 7, ()).text() == "8-bit integers in all 7 layers"
    said = Quantised(None, 7, ("a", "b"), late=True).text()
    assert "2 of 7 layers stay in floating point" in said
    assert "the time of -max_minutes was over" in said
    assert said.endswith("a, b")
    assert Quantised(None, 99, tuple("abcdefghijklmno")).text().endswith("k, l and 3 more, see the report")


def test_scores_end_in_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    images = [SimpleNamespace(worth=value) for value in (0.8, 0.6)]
    limit = Limit(lambda compiled, given: [compiled * image.worth for image in given], images, 0.01, 60.0)
    scored = _Scored(limit)
    assert scored(1.0, images[:1]) == (0.8, [0.8])  # NNCF looks at one image first
    assert scored(1.0, iter(images)) == (pytest.approx(0.7), [0.8, 0.6])  # the original
    now[0] = 59.0
    assert scored(0.5, images)[0] == pytest.approx(0.35)
    assert not scored.late
    now[0] = 61.0
    assert scored(0.5, images)[0] == pytest.approx(0.7)  # good enough: NNCF ends
    assert scored(0.5, images[1:])[0] == 0.0  # no layer looks worth trying
    assert scored.late


@pytest.mark.slow  # NNCF compiles a network for every layer
@pytest.mark.parametrize("seconds", [600.0, 0.0])
def test_the_worst_layers_stay_in_floating_point(seconds):
    random = np.random.default_rng(0)
    images = [SimpleNamespace(pixels=random.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(4)]
    graph = graph_of(False, False, False)
    exact = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = {id(image): exact(image.pixels[None])[0].copy() for image in images}

    def score(compiled, given):
        return [1 - np.abs(compiled(one.pixels[None])[0] - wanted[id(one)]).mean() / 1e6 for one in given]

    plain = quantise(graph, [image.pixels for image in images])
    assert plain.in_float == ()
    lost = 1 - np.mean(
        score(openvino_core().compile_model(plain.graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), images)
    )
    assert lost > 0
    kept = quantise(graph, [image.pixels for image in images], Limit(score, images, lost / 2, seconds))
    assert kept.late == (not seconds)
    assert all(name.startswith("decoder.") for name in kept.in_float)
    assert len(kept.in_float) in ((1, 2, 3) if seconds else (0,))  # without time it is what it is
