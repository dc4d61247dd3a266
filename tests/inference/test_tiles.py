"""Sliding window: every pixel is seen, tiles overlap enough, and what overlaps is averaged at the right place."""

import numpy as np
import pytest
import torch

from utils.decision.decision import Decision
from utils.errors import InputError
from utils.inference.network import Outputs
from utils.inference.systems.making import make_system
from utils.inference.tiles import Tiled, starts
from utils.inference.tta import Augmented
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile


class Local:
    """A network that sees a pixel only, or where in what it was given the pixel lies; remembers the sizes of its calls."""

    name, parallel = "local", 2

    def __init__(self, positions: bool = False) -> None:
        self.positions = positions
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, images, choose=None):
        assert choose is None
        assert images.flags["C_CONTIGUOUS"]
        self.calls.append(images.shape[:3])
        grey = torch.from_numpy(images[..., 0]).float()
        rows = torch.arange(float(grey.shape[1])).view(1, -1, 1).expand_as(grey)
        return Outputs(torch.stack([rows if self.positions else grey, -grey], dim=1), None)


def images_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("length", "tile", "expected"),
    [
        (200, 192, [0, 8]),
        (192, 192, [0]),
        (1600, 768, [0, 416, 832]),
        (1600, 256, [0, 192, 384, 576, 768, 960, 1152, 1344]),
        (336, 192, [0, 144]),  # exactly a quarter shared
        (337, 192, [0, 72, 145]),
        (5, 1, [0, 1, 2, 3, 4]),
    ],
)
def test_tiles_reach_the_borders_and_share_a_quarter(length, tile, expected):
    assert starts(length, tile) == expected


@pytest.mark.parametrize(("size", "calls"), [((40, 100), 6), ((32, 48), 1), ((20, 100), 3), ((40, 30), 2)])
def test_tiles_put_together_are_the_image(size, calls):
    images, network = images_of(*size), Local()
    tiled = Tiled(network, (32, 48))
    answer = tiled(images)
    assert answer.labels is None
    expected = Local()(images).masks
    assert answer.masks.dtype == torch.float32
    torch.testing.assert_close(answer.masks, expected)
    # As many images a call as asked for, all tiles of one size: a backend compiles once.
    assert network.calls == [(3, min(32, size[0]), min(48, size[1]))] * calls
    assert (tiled.name, tiled.parallel) == ("local, tiles of 32x48", 2)


def test_where_tiles_overlap_their_mean_counts():
    rows = Tiled(Local(positions=True), (6, 4))(images_of(8, 4)).masks[0, 0, :, 0]
    # Tiles begin at rows 0 and 2, and say 0 to 5 each.
    torch.testing.assert_close(rows, torch.tensor([0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0]))


def weights(task: str, architecture: str = "unet") -> WeightsFile:
    spec = ModelSpec(architecture, "resnet18", task, ("inclusion", "patch"))
    return WeightsFile(spec, {}, (0.5,) * 3, (0.2,) * 3, None, Decision.uniform(2, 0.5))


def test_views_are_cut_into_tiles():
    network = Local()
    system = make_system(weights("multilabel"), lambda _: network, (0, 0), "d4", (32, 32))
    assert isinstance(system.network, Augmented)
    assert "tiles of 32x32" in system.name
    images = images_of(40, 40)
    torch.testing.assert_close(system.network(images).masks, Local()(images).masks)
    assert network.calls == [(3, 32, 32)] * 8 * 4


@pytest.mark.parametrize(("task", "architecture"), [("classify-multilabel", "classifier"), ("multilabel", "two-head")])
def test_networks_that_judge_whole_images_are_not_cut(task, architecture):
    message = "-tile: a network with labels judges whole images; leave it out"
    with pytest.raises(InputError, match=message):
        make_system(weights(task, architecture), lambda _: pytest.fail("opened in vain"), (0, 0), tile=(32, 32))
