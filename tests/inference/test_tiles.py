"""Sliding window: every pixel is seen, tiles overlap enough, and what overlaps is averaged at the right place."""

import dataclasses
import threading

import numpy as np
import pytest
import torch

from utils.decision.decision import Decision
from utils.errors import InputError
from utils.inference import tiles
from utils.inference.network import Outputs
from utils.inference.systems.making import make_system
from utils.inference.tiled_views import TiledViews
from utils.inference.tiles import Tiled, TiledWhereLarge, owned, starts
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
    # All tiles of one size: a backend compiles once. Small ones share a call.
    assert network.calls == [(3 * calls, min(32, size[0]), min(48, size[1]))]
    assert (tiled.name, tiled.parallel) == ("local, tiles of 32x48", 2)


def test_where_tiles_overlap_their_mean_counts():
    rows = Tiled(Local(positions=True), (6, 4))(images_of(8, 4)).masks[0, 0, :, 0]
    # Tiles begin at rows 0 and 2, and say 0 to 5 each.
    torch.testing.assert_close(rows, torch.tensor([0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0]))


def weights(task: str, architecture: str = "unet") -> WeightsFile:
    spec = ModelSpec(architecture, "resnet18", task, ("inclusion", "patch"))
    return WeightsFile(spec, {}, (0.5,) * 3, (0.2,) * 3, None, Decision.uniform(2, 0.5))


def test_tiles_share_a_call_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(tiles, "AT_ONCE", 2 * 3 * 32 * 48)
    network = Local()
    images = images_of(40, 100)
    torch.testing.assert_close(Tiled(network, (32, 48))(images).masks, Local()(images).masks)
    assert network.calls == [(6, 32, 48)] * 3


def test_tiles_of_one_image_run_side_by_side(monkeypatch):
    monkeypatch.setattr(tiles, "AT_ONCE", 1)
    together = threading.Barrier(2, timeout=30)

    class Waiting(Local):
        def __call__(self, images, choose=None):
            together.wait()  # never passes where calls follow each other
            return super().__call__(images, choose)

    images = images_of(40, 100)
    torch.testing.assert_close(Tiled(Waiting(), (32, 48))(images).masks, Local()(images).masks)


def test_views_are_cut_into_tiles():
    network = Local()
    system = make_system(weights("multilabel"), lambda _: network, (0, 0), "d4", (32, 32))
    assert isinstance(system.network, TiledViews)
    assert "tiles of 32x32" in system.name
    images = images_of(40, 40)
    torch.testing.assert_close(system.network(images).masks, Local()(images).masks)


class Near(Local):
    """A network that sees as far as it is told: says the largest grey value of the neighbourhood."""

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach

    def __call__(self, images, choose=None):
        grey = super().__call__(images).masks[:, :1]
        size = 2 * self.reach + 1
        return Outputs(torch.nn.functional.max_pool2d(grey, size, stride=1, padding=self.reach), None)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (300, [(0, 0, 300)]),
        (1088, [(0, 0, 1088)]),
        (1089, [(0, 0, 544), (1, 544, 1089)]),
        (2112, [(0, 0, 1056), (1024, 1056, 2112)]),
        (2500, [(0, 0, 1056), (1024, 1056, 1762), (1412, 1762, 2500)]),
    ],
)
def test_each_pixel_of_a_large_image_has_one_tile_that_sees_around_it(length, expected):
    assert owned(length) == expected
    for begin, first, last in owned(length):
        assert first == 0 or first - begin >= 32
        assert last == length or begin + 1088 - last >= 32


def test_long_frame_costs_hardly_more_than_its_pixels():
    """A frame of 16384 pixels by tiles that shared a quarter cost 1.31 times its pixels."""
    for length in (8192, 16384, 32768):
        assert len(owned(length)) * 1088 <= 1.07 * length


def test_large_image_is_answered_as_without_tiles_and_in_pieces(monkeypatch):
    monkeypatch.setattr(tiles, "LARGE", 2000)
    monkeypatch.setattr(tiles, "LARGE_TILE", 32)
    monkeypatch.setattr(tiles, "LARGE_SHARED", 8)
    images, network = images_of(50, 120), Near(4)
    large = TiledWhereLarge(network)
    torch.testing.assert_close(large(images).masks, Near(4)(images).masks, rtol=0, atol=0)
    assert {call[1:] for call in network.calls} == {(32, 32)}
    assert large.name == "local, tiles of 32x32 for large images"


def test_image_that_is_not_large_is_seen_as_it_is():
    images, network = images_of(40, 50), Local()
    large = TiledWhereLarge(network)
    assert large(images).masks is not None
    assert network.calls == [(3, 40, 50)]
    assert (large.name, large.parallel) == ("local", 2)


@pytest.mark.parametrize(
    ("task", "architecture", "size", "cut"),
    [
        ("multilabel", "unet", None, True),
        ("multilabel", "unet", (256, 768), False),
        ("multilabel", "two-head", None, False),
        ("classify-multilabel", "classifier", None, False),
    ],
)
def test_networks_that_see_masks_at_full_size_cut_large_images_unasked(task, architecture, size, cut):
    system = make_system(dataclasses.replace(weights(task, architecture), input_size=size), lambda _: Local(), (0, 0))
    assert isinstance(system.network, TiledWhereLarge) == cut


@pytest.mark.parametrize(("task", "architecture"), [("classify-multilabel", "classifier"), ("multilabel", "two-head")])
def test_networks_that_judge_whole_images_are_not_cut(task, architecture):
    message = "-tile: a network with labels judges whole images; leave it out"
    with pytest.raises(InputError, match=message):
        make_system(weights(task, architecture), lambda _: pytest.fail("opened in vain"), (0, 0), tile=(32, 32))
