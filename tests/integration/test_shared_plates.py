"""Static marks in what a detector put out for whole plates, where that exists beside the repository."""

from pathlib import Path

import pandas as pd
import pytest

from utils.coil.artefacts import find_artefacts

BOXES = Path(__file__).resolve().parents[3] / "shared" / "data" / "plate_detections" / "boxes.csv"
WIDTH, HEIGHT = 1792, 1024  # of the frames, by the largest boxes
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not BOXES.is_file(), reason=f"{BOXES} is not on this machine"),
]


def found_on(sheet):
    """Return the number of the static mark of each box of one side of a sheet."""
    cameras, last = sorted(sheet["camera"].unique()), sheet["frame"].max()
    rows = [(f"{c}-{k}", str(c), (k - 1) * HEIGHT, k * HEIGHT) for c in cameras for k in range(1, last + 1)]
    frames = pd.DataFrame(rows, columns=["image", "camera", "begin", "end"])
    frames = frames.assign(left=0, right=WIDTH, width_px=WIDTH, height_px=HEIGHT)
    table = pd.DataFrame({"image": sheet["camera"].astype(str) + "-" + sheet["frame"].astype(str)})
    table = table.assign(
        x=sheet["x0"], y=sheet["y0"], width=sheet["x1"] - sheet["x0"], height=sheet["y1"] - sheet["y0"]
    )
    table["along0"] = (sheet["frame"] - 1) * HEIGHT + sheet["y0"]
    return find_artefacts(table.assign(along1=table["along0"] + table["height"]), frames)[1]


def test_boxes_at_one_place_of_many_frames_are_found():
    boxes = pd.read_csv(BOXES)
    boxes["found"] = 0
    for _, sheet in boxes.groupby(["sheet", "side"]):
        boxes.loc[sheet.index, "found"] = found_on(sheet)
    # The column says that five frames have the very same box, which chance does too: boxes lie on a grid of 41 x 43.
    same = boxes.groupby(["sheet", "side", "camera", "x0", "y0", "x1", "y1"])["frame"].transform("nunique")
    assert ((same >= 5) == (boxes["static"] == 1)).all()
    found = boxes["found"] > 0
    assert found[boxes["static"] == 1].mean() >= 0.85
    assert found[same > 40].mean() >= 0.97
    assert found[boxes["static"] == 0].mean() <= 0.2
