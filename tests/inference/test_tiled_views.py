"""Tiles and turns together: every pixel is seen and put back at its place, by half the passes or fewer."""

import itertools

import numpy as np
import pytest
import torch

from tests.inference.test_tiles import Local, images_of
from utils.errors import InputError
from utils.inference.tiled_views import TiledViews, view_starts
from utils.inference.tiles import starts
from utils.inference.tta import VIEWS, turned, turned_back


def passes(network: Local) -> int:
    return sum(count for count, _, _ in network.calls) // 3


@pytest.mark.parametrize(
    ("tta", "size", "tile", "expected"),
    [
        ("d4", (40, 40), (38, 38), 8),  # as 200x200 in tiles of 192x192, where overlapping ones take 32
        ("d4", (38, 38), (38, 38), 8),
        ("d4", (30, 30), (38, 38), 8),
        ("d4", (80, 80), (38, 38), 4 * 4 + 4 * 1),
        ("d4", (160, 160), (38, 38), 4 * 16 + 4 * 9),
        ("d4", (100, 100), (38, 38), 4 * 9 + 4 * 4),
        ("flips", (40, 40), (38, 38), 4),
        ("flips", (40, 80), (38, 38), 2 * 3 + 2 * 2),
        ("flips", (52, 320), (38, 38), 2 * 2 * 9 + 2 * 1 * 8),
        ("flips", (30, 60), (38, 38), 2 * 2 + 2 * 1),
    ],
)
def test_every_pixel_is_seen_and_put_back(tta, size, tile, expected):
    images, network = images_of(*size), Local()
    seen = TiledViews(network, tile, tta)
    answer = seen(images)
    torch.testing.assert_close(answer.masks, Local()(images).masks)
    assert passes(network) == expected
    assert answer.labels is None
    assert seen.name.startswith("local, tiles of 38x38, ")


@pytest.mark.parametrize("tta", ["flips", "d4"])
def test_every_size_is_seen_whole_by_no_more_passes_than_overlapping_tiles(tta):
    for side in range(10, 120, 7):
        network = Local()
        images = images_of(side, side)[:, :, :, :1]
        masks = TiledViews(network, (24, 24), tta)(images).masks
        assert masks.isfinite().all(), side
        tile = min(24, side)
        assert passes(network) <= len(VIEWS[tta]) * len(starts(side, tile)) ** 2, side


def test_tiles_of_every_second_view_lie_between_those_of_the_others():
    assert view_starts(160, 38, between=False, border=True) == [0, 38, 76, 114]
    assert view_starts(160, 38, between=True, border=True) == [19, 57, 95]
    assert view_starts(100, 38, between=False, border=True) == [0, 31, 62]
    assert view_starts(100, 38, between=True, border=True) == [15, 46]


def test_where_tiles_see_a_pixel_their_mean_counts():
    images = images_of(40, 40)
    answer = TiledViews(Local(positions=True), (40, 40), "flips")(images).masks[0, 0]
    # Two views count rows from above, two from below.
    torch.testing.assert_close(answer, torch.full((40, 40), 19.5))


def test_views_and_back_are_the_image():
    images = images_of(12, 12)
    for view in VIEWS["d4"]:
        masks = torch.from_numpy(turned(images, view).copy()).permute(0, 3, 1, 2)
        assert np.array_equal(turned_back(masks, view).permute(0, 2, 3, 1).numpy(), images)
    views = [turned(images, view).tobytes() for view in VIEWS["d4"]]
    assert all(one != other for one, other in itertools.combinations(views, 2))


def test_quarter_turns_need_square_images():
    with pytest.raises(InputError, match="-tta d4: quarter turns need square images, not 30x60; take -tta flips"):
        TiledViews(Local(), (24, 24), "d4")(images_of(30, 60))
