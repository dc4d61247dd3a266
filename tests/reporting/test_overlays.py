"""What an overlay shows: pixels outside defects untouched, defects tinted and outlined, a legend below."""

import itertools

import cv2
import numpy as np
import pytest

from utils.reporting.overlays import (
    AGREEMENT,
    COLOURS,
    STRIP,
    class_colour,
    draw_agreement,
    draw_masks,
    draw_overlay,
    overlay_bands,
)

# Simulation of full colour blindness on linear RGB (Machado, Oliveira and Fernandes, 2009, severity 1).
SIGHT = {
    "normal": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritan": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def seen(colour: tuple[int, int, int], sight: str) -> np.ndarray:
    """Return the CIE Lab value of a colour as someone with that sight sees it."""
    linear = (np.array(colour) / 255) ** 2.2
    shown = np.clip(SIGHT[sight] @ linear, 0, 1) ** (1 / 2.2)
    return cv2.cvtColor(shown.astype(np.float32)[None, None], cv2.COLOR_RGB2LAB)[0, 0]


@pytest.fixture
def strip() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (256, 1600, 3), dtype=np.uint8)


def block(height: int, width: int, box: tuple[slice, slice], classes: int = 2, index: int = 0) -> np.ndarray:
    masks = np.zeros((classes, height, width), dtype=bool)
    masks[index][box] = True
    return masks


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize(("first", "distance"), [(4, 20), (7, 10)])
def test_colours_are_told_apart_by_everyone_and_from_steel(sight: str, first: int, distance: float) -> None:
    for one, other in itertools.combinations(COLOURS[:first], 2):
        assert np.linalg.norm(seen(one, sight) - seen(other, sight)) > distance, (one, other)
    for colour, grey in itertools.product(COLOURS[:first], (60, 110, 160)):
        assert np.linalg.norm(seen(colour, sight) - seen((grey, grey, grey), sight)) > distance / 2


def test_every_class_has_a_colour_of_its_own() -> None:
    assert len({class_colour(index) for index in range(28)}) == 28


def test_pixels_outside_of_defects_stay_as_they_are(strip: np.ndarray) -> None:
    before = strip.copy()
    masks = block(256, 1600, np.s_[50:120, 300:700])
    drawn = draw_masks(strip, masks)
    np.testing.assert_array_equal(drawn[~masks.any(axis=0)], before[~masks.any(axis=0)])
    np.testing.assert_array_equal(strip, before)


def test_a_defect_has_a_full_outline_inside_its_edge_and_a_light_fill(strip: np.ndarray) -> None:
    drawn = draw_masks(strip, block(256, 1600, np.s_[50:120, 300:700], index=1))
    edge = [drawn[50, 300:700], drawn[119, 300:700], drawn[50:120, 300], drawn[50:120, 699]]
    for line in edge:
        assert (line == class_colour(1)).all()
    inside, original = drawn[60:110, 310:690].astype(float), strip[60:110, 310:690].astype(float)
    np.testing.assert_allclose(inside, 0.75 * original + 0.25 * np.array(class_colour(1)), atol=1)


@pytest.mark.parametrize("box", [np.s_[0:9, 0:9], np.s_[:, :], np.s_[255:, 1599:]])
def test_defects_at_the_image_border_have_a_closed_outline(strip: np.ndarray, box: tuple[slice, slice]) -> None:
    masks = block(256, 1600, box)
    drawn = draw_masks(strip, masks)
    y, x = np.nonzero(masks[0])
    for row, column in [(y.min(), x.min()), (y.max(), x.max()), (y.min(), x.max()), (y.max(), x.min())]:
        assert tuple(drawn[row, column]) == class_colour(0)


def test_no_defect_leaves_the_image(strip: np.ndarray) -> None:
    np.testing.assert_array_equal(draw_masks(strip, np.zeros((3, 256, 1600), bool)), strip)


@pytest.mark.parametrize(("height", "width"), [(256, 1600), (200, 200), (31, 17), (1024, 64)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("labelled", [False, True])
def test_the_picture_keeps_its_size_and_the_legend_comes_below(
    height: int, width: int, channels: int, labelled: bool
) -> None:
    image = np.full((height, width, channels), 90, np.uint8)
    masks = block(height, width, np.s_[2:5, 2:6])
    overlay = draw_overlay(image, masks, ["scratches", "patches"], masks if labelled else None)
    assert overlay.dtype == np.uint8
    assert overlay.shape[1:] == (width, 3)
    picture = draw_masks(image, masks)
    places = [row for row in range(len(overlay) - height) if (overlay[row : row + height] == picture).all()]
    assert len(places) == (2 if labelled else 1)
    legend = overlay[places[-1] + height :]
    assert tuple(legend[0, 0]) == STRIP
    assert (legend == class_colour(0)).all(axis=2).any()
    assert (legend == class_colour(1)).all(axis=2).any()


def test_truth_is_drawn_below_the_prediction(strip: np.ndarray) -> None:
    masks, truth = block(256, 1600, np.s_[50:90, 300:500]), block(256, 1600, np.s_[150:190, 800:900], index=1)
    overlay = draw_overlay(strip, masks, ["a", "b"], truth)
    rows = [
        next(row for row in range(len(overlay)) if (overlay[row : row + 256] == draw_masks(strip, panel)).all())
        for panel in (masks, truth)
    ]
    assert rows[0] + 256 < rows[1]


def test_the_legend_of_many_classes_wraps_and_shows_each_colour() -> None:
    names = [f"class number {k}" for k in range(1, 13)]
    narrow, wide = (
        draw_overlay(np.zeros((50, width, 3), np.uint8), np.zeros((12, 50, width), bool), names)[50:]
        for width in (200, 1600)
    )
    assert len(narrow) > len(wide)  # though its letters are smaller
    for legend, index in itertools.product((narrow, wide), range(12)):
        assert (legend == class_colour(index)).all(axis=2).any(), index


@pytest.mark.parametrize(
    "name", ["Einschlüsse", "划痕", "a name that is much too long to stand in one line of a picture"]
)
def test_any_name_can_stand_in_the_legend(name: str) -> None:
    overlay = draw_overlay(np.zeros((40, 120, 3), np.uint8), np.zeros((1, 40, 120), bool), [name])
    legend = overlay[40:].astype(int).sum(axis=2)
    assert (legend[:, -3:] == sum(STRIP)).all(), "letters run out of the picture"
    assert (legend[:, 30:] > 400).any(), "no letters"


def test_hit_missed_and_false_have_colours_that_no_class_has():
    image = np.zeros((60, 200, 1), np.uint8)
    masks, truth = np.zeros((2, 2, 60, 200), bool)
    truth[0, 10:30, :50], masks[0, 20:40, :50] = True, True
    truth[1, 50:, 100:], masks[0, 50:, 150:] = True, True  # one class missed where the other is made up: missed
    drawn = draw_agreement(image, masks, truth)[-60:]
    expected = {"missed": (15, 5), "hit": (25, 5), "false": (35, 5)}
    for kind, place in {**expected, "missed ": (55, 120), "missed  ": (55, 170)}.items():
        np.testing.assert_allclose(drawn[place], np.array(AGREEMENT[kind.strip()]) * 0.65, atol=1)
    assert not drawn[:10].any()
    assert not set(AGREEMENT.values()) & {class_colour(k) for k in range(30)}


@pytest.mark.parametrize("rows", [1, 5, 64, 300])
@pytest.mark.parametrize("channels", [1, 3])
def test_overlay_in_bands_is_the_overlay(rows: int, channels: int) -> None:
    random = np.random.default_rng(5)
    image = random.integers(0, 256, (300, 260, channels), dtype=np.uint8)
    masks = np.stack([cv2.blur(random.random((300, 260)), (side, side)) > 0.52 for side in (9, 15)])
    height, bands = overlay_bands(image, masks, ("scratch", "patch"), rows)
    expected = draw_overlay(image, masks, ("scratch", "patch"))
    assert height == len(expected)
    assert np.array_equal(np.concatenate(list(bands)), expected)
