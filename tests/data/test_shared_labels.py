"""The decoded pixels of a real table, where it exists beside the repository."""

from pathlib import Path

import pandas as pd
import pytest

from utils.data import rle
from utils.data.annotations import read_annotations

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
