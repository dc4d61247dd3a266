import numpy as np
import pytest

from utils.data.annotation_table import read_annotations
from utils.data.annotations import Annotations, make_rows
from utils.data.tables import AnnotationError

SEPARATE = "ImageId,ClassId,EncodedPixels\n"


pytestmark = pytest.mark.usefixtures("codes")


def test_mask_has_a_channel_per_class_in_the_images_size(table):
    annotations = read_annotations(table(SEPARATE + "a,1,1 2\na,3,24 1\n"))
    mask = annotations.mask("a", 4, 6)
    assert mask.shape == (4, 6, 3)
    assert mask.dtype == np.uint8
    assert np.argwhere(mask).tolist() == [[0, 0, 0], [1, 0, 0], [3, 5, 2]]
    assert not annotations.mask("clean", 4, 6).any()


def test_run_past_the_image_names_row_and_pair(table):
    annotations = read_annotations(table(SEPARATE + "b,1,1 1\na,2,1 1 24 2\n"))
    with pytest.raises(
        AnnotationError, match=r"train.csv, row 3: a class 2: pair 2: run ends at 25, past .* 24 pixels"
    ):
        annotations.mask("a", 4, 6)


def test_a_table_without_defects_has_no_runs():
    annotations = Annotations(make_rows([]), ("a.png",), ("pit",))
    assert annotations.runs("a.png") == {}
    assert not annotations.mask("a.png", 2, 3).any()
