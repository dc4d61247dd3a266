"""Defects lie denser in bursts and along scratches than the coil's mean, and that counts there only."""

import numpy as np
import pytest

from utils.coil.repeats.background import log_densities

LENGTH, WIDTH, LANE = 300_000.0, 1500.0, 60.0


def test_even_clutter_has_its_density_and_clusters_a_higher_one():
    rng = np.random.default_rng(0)
    even = rng.random((3000, 2)) * (LENGTH, WIDTH)
    scratch = np.column_stack([150_000 + np.arange(20) * 200.0, np.full(20, 700.0)])
    points = np.concatenate([even, scratch])
    density = log_densities(points[:, 0], points[:, 1], points[:, 0], points[:, 1], LENGTH, LANE)
    mean = np.log(3000 / (LENGTH * WIDTH))
    assert np.median(density[:3000]) == pytest.approx(mean, abs=0.5)
    assert np.median(density[3000:]) > mean + 1.5


def test_density_follows_the_unit():
    rng = np.random.default_rng(1)
    along, across = rng.random((2, 200)) * [[LENGTH], [WIDTH]]
    one = log_densities(along, across, along, across, LENGTH, LANE)
    other = log_densities(along * 3, across * 3, along * 3, across * 3, LENGTH * 3, LANE * 3)
    assert other == pytest.approx(one - 2 * np.log(3))
