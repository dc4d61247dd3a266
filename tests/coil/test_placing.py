"""Boxes in images become half-open boxes on the strip."""

import pandas as pd
import pytest

from utils.coil.placing import place
from utils.coil.plan import Camera, CoilPlan
from utils.coil.positions import read_frames
from utils.coil.tables import SIGHTING_COLUMNS

# An image 200 wide and 100 high with a defect 10..30 in x and 40..45 in y.
SIZE = (100, 200)


def defects(*images):
    rows = [(image, "pit", 10, 40, 20, 5, 80, 0.9) for image in images]
    return pd.DataFrame(
        rows, columns=["image", "class_name", "x", "y", "width", "height", "area_px", "probability"]
    ).set_index(pd.RangeIndex(5, 5 + len(rows)))


def placed(tmp_path, camera, start="0.5", left="50"):
    (tmp_path / "positions.csv").write_text(f"ImageId,camera,start_m,left_mm\na.png,1,{start},{left}\n")
    plan = CoilPlan(unit="mm", cameras={"": camera})
    return place(defects("a.png"), read_frames(tmp_path, plan, {"a.png": SIZE}), plan)


@pytest.mark.parametrize(
    ("camera", "along", "across"),
    [
        (Camera("", 0.5, 0.4), (520, 522.5), (54, 62)),
        (Camera("", 0.5, 0.4, reversed_along=True), (527.5, 530), (54, 62)),
        (Camera("", 0.5, 0.4, reversed_across=True), (520, 522.5), (118, 126)),
        (Camera("", 0.5, 0.4, along="x"), (505, 515), (66, 68)),
        (Camera("", 0.5, 0.4, along="x", reversed_along=True), (585, 595), (66, 68)),
        (Camera("", 0.5, 0.4, along="x", reversed_across=True), (505, 515), (72, 74)),
    ],
)
def test_box_by_axis_sense_and_scale(tmp_path, camera, along, across):
    row = placed(tmp_path, camera).iloc[0]
    assert (row.along0, row.along1) == pytest.approx(along)
    assert (row.across0, row.across1) == pytest.approx(across)
    assert row.area == pytest.approx(80 * 0.2)


def test_rows_keep_order_index_and_columns_and_unplaced_images_go(tmp_path):
    (tmp_path / "positions.csv").write_text("ImageId,camera,start_m,left_mm\na.png,1,0,0\nb.png,2,0.05,100\n")
    plan = CoilPlan(unit="mm", cameras={"1": Camera("1", 1, 1), "2": Camera("2", 0.5, 0.5)})
    frames = read_frames(tmp_path, plan, {"a.png": SIZE, "b.png": SIZE})
    found = place(defects("b.png", "c.png", "a.png", "b.png"), frames, plan)
    assert tuple(found.columns) == SIGHTING_COLUMNS
    assert found.index.tolist() == [5, 7, 8]
    assert found["camera"].tolist() == ["2", "1", "2"]
    assert found["along0"].tolist() == pytest.approx([70, 40, 70])
    assert place(defects(), frames, plan).columns.tolist() == list(SIGHTING_COLUMNS)
