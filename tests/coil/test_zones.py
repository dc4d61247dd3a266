"""Zones: a box lies in each that it touches; stretches that no camera shows."""

import pandas as pd
import pytest

from tests.coil.drawn import frames, table
from utils.coil.plan import CoilPlan, Zones
from utils.coil.tables import GAP_COLUMNS
from utils.coil.zones import not_seen, stretches, strip_edges, total, touching

PLAN = CoilPlan(zones=Zones(edge=10, head=100, tail=200))


@pytest.mark.parametrize(
    ("box", "zones"),
    [
        ((0, 5, 0, 5), "edge head"),
        ((99, 100, 50, 60), "centre head"),
        ((100, 101, 50, 60), "centre body"),
        ((99, 101, 50, 60), "centre head body"),
        ((500, 501, 9, 11), "edge centre body"),
        ((500, 501, 10, 11), "centre body"),
        ((500, 501, 189, 190), "centre body"),
        ((500, 501, 190, 191), "edge body"),
        ((500, 501, 0, 200), "edge centre body"),
        ((799, 800, 50, 60), "centre body"),
        ((800, 801, 50, 60), "centre tail"),
        ((1000, 1001, 50, 60), "centre tail"),  # behind the tail by a rounding
        ((-1, 0, 50, 60), "centre head"),
        ((0, 1000, -5, 300), "edge centre head body tail"),
    ],
)
def test_box_lies_in_every_zone_that_it_touches(box, zones):
    boxes = pd.DataFrame([box], columns=["along0", "along1", "across0", "across1"])
    found = [
        zone
        for zone in ("edge", "centre", "head", "body", "tail")
        if touching(boxes, (zone,), PLAN, 1000.0, (0.0, 200.0))[0]
    ]
    assert " ".join(found) == zones


@pytest.mark.parametrize(
    ("length", "zones", "parts"),
    [
        (1000.0, (), [(0, 1000)]),
        (1000.0, ("edge",), [(0, 1000)]),
        (1000.0, ("head", "tail"), [(0, 100), (800, 1000)]),
        (1000.0, ("head", "body"), [(0, 800)]),
        (250.0, ("head", "tail"), [(0, 250)]),  # they meet
        (250.0, ("body",), []),
        (50.0, ("head",), [(0, 50)]),
    ],
)
def test_stretches_of_zones_along_the_strip(length, zones, parts):
    assert stretches(zones, PLAN, length) == parts


def test_what_no_camera_shows_is_united_and_cut_to_the_coil():
    rows = [("", -10, 50), ("2", 300, 400), (None, 40, 60), (float("nan"), 990, 2000), ("", 70, 70)]
    gaps = table(GAP_COLUMNS, [dict(zip(GAP_COLUMNS, row, strict=True)) for row in rows])
    assert not_seen(gaps, 1000.0) == [(0, 60), (990, 1000)]
    assert total([(0, 1000)], [(0, 60), (990, 1000)]) == 930
    assert not_seen(table(GAP_COLUMNS, []), 1000.0) == []


@pytest.mark.parametrize(
    ("plan", "count", "edges"),
    [
        (CoilPlan(edges=(30.0, 900.0), width=870.0), 3, (30, 900)),
        (CoilPlan(width=870.0), 3, (0, 870)),
        (CoilPlan(edges="found"), 3, (0, 1200)),
        (CoilPlan(), 3, (0, 1200)),
        (CoilPlan(), 0, None),
        (CoilPlan(width=870.0), 0, (0, 870)),
    ],
)
def test_edges_come_from_the_plan_or_from_the_images(plan, count, edges):
    assert strip_edges(plan, frames(count)) == edges
