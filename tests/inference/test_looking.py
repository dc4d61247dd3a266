"""Features of images: OpenVINO gives what torch gives, in any thread, and damaged weights are one line."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tests.conftest import NARROW
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.inference.looking import _by_openvino, looking, measuring
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.models.trunk import Trunk
from utils.weights.appearance import described, summarised
from utils.weights.weights_file import WeightsFile, load

pytestmark = pytest.mark.usefixtures("own_networks")

IMAGES = [np.random.default_rng(n).integers(0, 60 + 8 * n, (120, 200, 3), np.uint8) for n in range(24)]


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    spec = ModelSpec("unet", "tf_efficientnet_lite0", "multilabel", ("a",), 3, decoder_channels=NARROW)
    state = build(spec).net.state_dict()
    file = WeightsFile(spec, state, (0.5,) * 3, (0.2,) * 3, None, Decision((0.5,), (0,)))
    layer, look = measuring(file)
    file.appearance = summarised([described(image, look(image)) for image in IMAGES], layer)
    return file


def test_openvino_and_torch_see_the_same(weights):
    pytest.importorskip("openvino")
    trunk = Trunk(weights.build(), weights.appearance.layer)
    fast = _by_openvino(weights, trunk, weights.appearance.layer)
    assert fast is not None
    for image in IMAGES[:4]:
        assert np.allclose(fast(image), trunk.features(image), rtol=1e-3, atol=1e-4)


def test_a_later_run_takes_what_was_converted_and_builds_no_network(weights, monkeypatch):
    pytest.importorskip("openvino")
    first = looking(weights)(IMAGES[0])
    monkeypatch.setattr(WeightsFile, "build", lambda self: pytest.fail("built again"))
    assert np.array_equal(looking(weights)(IMAGES[0]), first)


def test_threads_do_not_mix_images(weights):
    look = looking(weights)
    alone = [look(image) for image in IMAGES]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(look, IMAGES * 4))
    assert np.allclose(np.array(together), np.array(alone * 4))


def test_file_brings_the_layer_back(weights, tmp_path):
    again = load(weights.save_named(tmp_path, "w"))
    assert again.appearance.layer == weights.appearance.layer
    features = looking(again)(IMAGES[0])
    assert again.appearance.properties(IMAGES[0], features)[3] == pytest.approx(
        weights.appearance.properties(IMAGES[0], features)[3], rel=1e-3
    )


def test_weights_that_know_nothing_look_at_nothing(weights):
    assert looking(dataclasses.replace(weights, appearance=None)) is None
    plain = dataclasses.replace(weights.appearance, layer=None, centre=np.zeros(0), covariance=np.zeros((0, 0)))
    assert looking(dataclasses.replace(weights, appearance=plain)) is None


@pytest.mark.parametrize("change", [{"layer": "encoder.none"}, {"layer": "decoder"}, {"centre": np.zeros(3)}])
def test_appearance_of_another_network_is_one_line(weights, change):
    wrong = dataclasses.replace(weights, appearance=dataclasses.replace(weights.appearance, **change))
    with pytest.raises(InputError, match="damaged weights file"):
        looking(wrong)


def test_openvino_is_asked_for_as_everywhere_so_that_it_tells_nobody(weights, monkeypatch):
    """``optional`` keeps it from telling its makers of each conversion."""

    def missing(flag, *packages):
        raise InputError("openvino is not installed")

    monkeypatch.setattr("utils.inference.looking.optional", missing)
    layer = weights.appearance.layer
    assert _by_openvino(weights, Trunk(weights.build(), layer), layer) is None
