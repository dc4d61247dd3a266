import numpy as np
import pytest
from PIL import Image

from utils.data.duplicates.image_sets import open_images
from utils.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """A dataset folder with labelled training images and unlabelled test images."""
    for side in ("train", "test"):
        (tmp_path / f"{side}_images").mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{side}_images" / f"{side}.png")
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\ntrain.png,1,1 3\n")
    return tmp_path


@pytest.mark.parametrize(
    ("inside", "prefer", "name", "labelled"),
    [
        ("", "train", "train.png", True),
        ("", "test", "test.png", False),
        ("train_images", "test", "train.png", True),
        ("test_images", "train", "test.png", False),
    ],
)
def test_a_folder_stands_for_one_of_its_sides(folder, inside, prefer, name, labelled):
    found = open_images(folder / inside, prefer, "-dir")
    assert (found.names, found.labelled is not None) == ((name,), labelled)
    assert found.root.resolve() == folder.resolve()
    assert found.path(name).is_file()


def test_any_folder_of_images_will_do(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    assert open_images(tmp_path, "train", "-dir").names == ("a.png",)


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_no_images_are_told(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        open_images(tmp_path / name, "train", "-against")
