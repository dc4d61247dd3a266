"""The decoded pixels of a real table, where it exists beside the repository."""

from pathlib import Path

import pandas as pd
import pytest

from utils.data import rle
from utils.data.annotation_table import read_annotations
from utils.data.splits import balance

LABELS = Path(__file__).resolve().parents[3] / "shared" / "data" / "severstal_labels"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not LABELS.is_dir(), reason=f"{LABELS} is not on this machine"),
]


@pytest.fixture(scope="module")
def labels():
    return read_annotations(LABELS / "train.csv")


def test_every_row_has_the_known_pixels_and_encodes_to_the_same_text(labels):
    index = pd.read_csv(LABELS / "image_index.csv", index_col="image_id")
    assert len(labels.rows) == 5856
    for image, class_id, text in labels.rows[["image", "class_id", "rle"]].itertuples(index=False):
        mask = rle.decode(text, 256, 1600)
        assert mask.sum() == index.at[image, f"area_class_{class_id}"], (image, class_id)
        assert rle.encode(mask) == text, (image, class_id)


@pytest.mark.parametrize("seed", range(3))
def test_the_balanced_subset_has_about_250_images_of_each_class(labels, seed):
    rows = labels.rows
    names = balance(labels, 250, seed)
    counts = rows[rows["image"].isin(names)]["class_id"].value_counts()
    there = rows["class_id"].value_counts()
    # The published table has 247 images of class 2, this part of it 245: then all are taken.
    assert all(247 <= counts[k] <= 253 or counts[k] == there[k] for k in range(1, 5))
    assert 900 <= len(names) <= 1000
