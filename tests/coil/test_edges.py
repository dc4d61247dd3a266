"""Edges are where the light ends: whatever the exposure, across seams, and not at reflections."""

import numpy as np
import pandas as pd
import pytest

from utils.coil.edges import Profile, edges_of_coil, find_edges, outside, strip_of
from utils.coil.plan import Camera, CoilPlan
from utils.coil.positions import read_frames

SIZE = (100, 2000)


def image(left=200, right=1700, light=90, dark=8, seams=(), spots=(), seed=0):
    random = np.random.default_rng(seed)
    levels = np.full(SIZE[1], float(dark))
    levels[left:right] = light * (1 + 0.25 * np.sin(np.arange(right - left) / 200))
    for begin, end in seams:
        levels[begin:end] = dark
    for begin, end in spots:
        levels[begin:end] = light
    noisy = levels + random.normal(0, 0.03 * light + 1, (SIZE[0], SIZE[1]))
    return np.clip(noisy, 0, 255).astype(np.uint8)[..., None]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({}, (200, 1700)),
        ({"light": 30}, (200, 1700)),
        ({"light": 190, "dark": 30}, (200, 1700)),
        ({"seams": [(600, 640), (1100, 1130)]}, (200, 1700)),  # between cameras side by side
        ({"spots": [(60, 90), (1850, 1880)]}, (200, 1700)),  # reflections beside the strip
        ({"left": 0}, (0, 1700)),
        ({"right": 2000}, (200, 2000)),
        ({"left": 0, "right": 2000}, (0, 2000)),
        ({"left": 900, "right": 1300}, (900, 1300)),
    ],
)
def test_strip_in_an_image(made, expected):
    found = strip_of(Profile.of(image(**made), Camera()))
    assert found == pytest.approx(expected, abs=6)
    turned = np.ascontiguousarray(image(**made).transpose(1, 0, 2))
    assert strip_of(Profile.of(turned, Camera(along="x"))) == pytest.approx(found)


@pytest.mark.parametrize(("made", "usual"), [({"light": 3, "dark": 3}, None), ({"light": 14, "dark": 2}, 150.0)])
def test_image_without_strip(made, usual):
    assert strip_of(Profile.of(image(**made), Camera()), usual) is None


def test_edges_of_frames_follow_the_strip_and_the_coil_has_their_median():
    plan = CoilPlan(width=1500, cameras={"": Camera(left=50)})
    lefts = [200, 210, 220, 230]
    pictures = {f"{n}.png": image(left, left + 1500, light=60 + 40 * n) for n, left in enumerate(lefts, 1)}
    pictures["5.png"] = image(light=2, dark=2)
    frames = read_frames(None, plan, dict.fromkeys(pictures, SIZE))
    edges = find_edges({name: Profile.of(one, Camera()) for name, one in pictures.items()}, frames, plan)
    assert edges["left"].tolist()[:4] == pytest.approx([left + 50 for left in lefts], abs=6)
    assert edges["strip"].tolist() == [True] * 4 + [False]
    assert edges_of_coil(edges, plan) == pytest.approx((265, 1765), abs=6)
    sightings = pd.DataFrame(
        {
            "image": ["1.png", "1.png", "4.png", "4.png", "5.png"],
            "across0": [240.0, 100, 255, 300, 900],
            "across1": [280.0, 300, 275, 320, 910],
        }
    )
    assert outside(sightings, edges).tolist() == [False, True, True, False, True]
    assert outside(sightings, (200.0, 300.0)).tolist() == [False, False, False, True, True]


def test_mirrored_camera_and_scale():
    plan = CoilPlan(unit="mm", cameras={"": Camera("", 0.5, 0.5, left=10, reversed_across=True)})
    frames = read_frames(None, plan, {"1.png": SIZE})
    edges = find_edges({"1.png": Profile.of(image(), Camera())}, frames, plan)
    assert edges.loc["1.png", ["left", "right"]].tolist() == pytest.approx([160, 910], abs=3)


def test_edge_that_no_image_shows_comes_from_the_width():
    table = pd.DataFrame({"left": [np.nan], "right": [900.0], "strip": [True]}, index=["a"])
    assert edges_of_coil(table, CoilPlan(width=800)) == (100, 900)
    assert edges_of_coil(table, CoilPlan()) is None
