"""All of a coil: what its properties say."""

import numpy as np

from tests.coil.drawn import coil, frames
from utils.coil.plan import CoilPlan


def test_static_marks_do_not_count():
    made = coil("3*dent@1+1:5; 2*dent@9+1:5 art; hole@20:5")
    assert made.real.tolist() == [True, True, True, False, False, True]
    assert dict(made.counts) == {"dent": 3, "hole": 1}


def test_edges_are_known_even_of_a_coil_without_images_and_plan():
    assert coil("dent@1:5; dent@2:700", CoilPlan(), 1000.0, frames=frames(0)).edges == (0, 710)
    assert coil("", CoilPlan(), 1000.0, frames=frames(0)).edges == (0, 1)
    assert coil("", CoilPlan(), 1000.0).edges == (0, 1200)


def test_missing_numbers_are_no_static_marks():
    made = coil("2*dent@1+1:5")
    made.defects["artefact"] = [np.nan, 1]
    assert made.real.tolist() == [True, False]
