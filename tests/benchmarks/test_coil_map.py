"""The benchmark of coil maps cuts boxes as cameras do, and grades by hand as the rules say."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.coil_map import _by_hand, cut
from utils.data.synthetic.coil.layout import make_layout


def test_cut_boxes_make_up_the_whole_ones():
    layout = make_layout(2, 20, 64, 100, (0.5, 0.4), 1.0, 8, 10, 5.0)
    rng = np.random.default_rng(0)
    low = np.column_stack([rng.uniform(30, 400, 50), rng.uniform(2, 60, 50)])
    size = np.column_stack([rng.uniform(2, 90, 50), rng.uniform(2, 10, 50)])
    boxes = pd.DataFrame(
        {"class_name": "pits", "along0": low[:, 0], "along1": (low + size)[:, 0], "across0": low[:, 1]}
    ).assign(across1=(low + size)[:, 1])
    boxes = boxes[boxes["along1"] < layout.length - 1].reset_index(drop=True)
    for place, box in enumerate(boxes.itertuples()):
        rows, views = cut(boxes.iloc[[place]], layout)
        assert views.tolist() == [len(rows)]
        camera = rows["image"].str[1].astype(int).to_numpy() - 1
        frame = rows["image"].str.extract(r"_(\d+)")[0].astype(int).to_numpy() - 1
        begin = np.array([layout.cameras[c].begin(f) for c, f in zip(camera, frame, strict=True)])
        left = np.array([layout.cameras[c].left for c in camera])
        along0, across0 = begin + 0.5 * rows["y"], left + 0.4 * rows["x"]
        assert along0.min() == pytest.approx(box.along0, abs=0.26)
        assert (along0 + 0.5 * rows["height"]).max() == pytest.approx(box.along1, abs=0.26)
        assert across0.min() == pytest.approx(box.across0, abs=0.21)
        assert (across0 + 0.4 * rows["width"]).max() == pytest.approx(box.across1, abs=0.21)


def defect(along, across, name="pits", length=10.0, area=50.0):
    sides = {"along0": along, "along1": along + length, "across0": across, "across1": across + 5.0}
    return {**sides, "class_name": name, "area": area}


@pytest.mark.parametrize(
    ("defects", "series", "verdict", "fired"),
    [
        ([], 0, "accept", set()),
        ([], 2, "hold", {"rolls"}),
        ([defect(9e4, 600, area=5000)], 0, "hold", {"large"}),
        ([defect(9e4, 600, "scratches", 1200)], 0, "downgrade", {"long"}),
        ([defect(9e4 + 160 * n, 600) for n in range(60)], 0, "downgrade", {"dense"}),
        ([defect(9e4 + 180 * n, 600) for n in range(60)], 0, "accept", set()),
        ([defect(1e3 + 300 * n, 600) for n in range(60)], 0, "downgrade", {"head"}),
        ([defect(9e4 + 500 * n, 2, "cracks") for n in range(150)], 0, "hold", {"cracks at the edge"}),
        ([defect(6e4 + 500 * n, 600) for n in range(900)], 0, "downgrade", {"often"}),
    ],
)
def test_grades_by_hand(defects, series, verdict, fired):
    assert _by_hand(defects, series) == (verdict, fired)
