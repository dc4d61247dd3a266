"""The published figures of the Severstal labels, where they exist beside the repository."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from config import ExploreConfig
from utils.data.exploration.folder import explore_folder
from utils.data.exploration.labels import ImageLabels, LabelTally

LABELS = Path(__file__).resolve().parents[3] / "shared" / "data" / "severstal_labels"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not LABELS.is_dir(), reason=f"{LABELS} is not on this machine"),
]
CLASSES = range(1, 5)


@pytest.fixture(scope="module")
def index():
    """One row an image of the whole competition: its area of each class, pixels."""
    table = pd.read_csv(LABELS / "image_index.csv", index_col="image_id")
    return table[[f"area_class_{k}" for k in CLASSES]].set_axis(list(CLASSES), axis=1)


@pytest.fixture(scope="module")
def whole(index):
    """The figures of all 12,568 images, from their areas alone."""
    tally = LabelTally(["1", "2", "3", "4"])
    for image, row in zip(index.index, index.to_numpy(), strict=True):
        areas = {k: int(area) for k, area in zip(CLASSES, row, strict=True) if area}
        tally.add(image, ImageLabels(areas, sum(areas.values())))
    return tally.statistics(256 * 1600 * len(index))


@pytest.fixture(scope="module")
def found():
    """The figures of the part of the labels that is there: 5,856 of 7,095 rows."""
    return explore_folder(ExploreConfig(dir=LABELS, image_size=(256, 1600)), progress=False)


def test_published_counts(whole):
    assert whole.images == 12_568
    assert whole.images_per_class().tolist() == [897, 247, 5150, 801]
    assert whole.images_per_number().tolist() == [5902, 6239, 425, 2]
    assert whole.pixels_per_class().tolist() == [3_912_129, 834_471, 131_306_899, 27_533_572]
    assert whole.clean == 5902


def test_area_statistics_of_the_whole(whole, index):
    table = whole.area_table()
    for k in CLASSES:
        areas = index[k][index[k] > 0].to_numpy()
        expected = [areas.mean(), areas.min(), areas.max(), *np.percentile(areas, [2, 25, 50, 75, 98])]
        assert table.loc[str(k), ["mean", "min", "max", "2%", "25%", "50%", "75%", "98%"]].tolist() == pytest.approx(
            expected
        )
    assert table["mean"].round(1).tolist() == [4361.3, 3378.4, 25496.5, 34374.0]


def test_areas_of_the_labels_are_those_of_the_index(found, index):
    rows = found.labels.areas
    assert len(rows) == 5856
    assert rows["area"].tolist() == [
        index.at[image, k] for image, k in zip(rows["image"], rows["class_id"], strict=True)
    ]
    assert found.labels.images_per_class()[1] == 245  # of 247
    assert not found.clean_known


def test_maps_and_connected_defects_hold_every_pixel(found):
    labels = found.labels
    assert labels.maps.shape == (4, 16, 100)
    from_maps = labels.maps.mean(axis=(1, 2)) * labels.images_per_class() * 256 * 1600
    assert from_maps == pytest.approx(labels.pixels_per_class(), rel=1e-5)
    assert labels.defects.groupby("class_id")["area"].sum().tolist() == labels.pixels_per_class().tolist()
