import numpy as np
import pytest
from PIL import Image

from utils.data.dataset_folder import open_dataset, open_test_images
from utils.data.tables import AnnotationError
from utils.errors import InputError

SEPARATE = "ImageId,ClassId,EncodedPixels\n"
JOINED = "ImageId_ClassId,EncodedPixels\n"


@pytest.fixture
def folder(tmp_path):
    """A dataset folder of a.png, b.png, c.png (4 high, 6 wide); write its tables with the returned function."""

    def make(train_csv=SEPARATE + "b.png,1,1 2\n", images=("a.png", "b.png", "c.png"), to="train_images"):
        (tmp_path / to).mkdir(exist_ok=True)
        for name in images:
            Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / to / name)
        (tmp_path / "train.csv").write_text(train_csv)
        return tmp_path

    return make


def names(paths):
    return [f"{path.parent.name}/{path.name}" for path in paths]


def test_a_dataset_folder_is_opened(folder):
    root = folder()
    dataset = open_dataset(root)
    assert dataset.images == ("a.png", "b.png", "c.png")
    assert dataset.path("b.png") == root / "train_images" / "b.png"
    assert dataset.annotations.runs("b.png") == {1: "1 2"}
    assert dataset.annotations.runs("a.png") == {}
    assert dataset.annotations.classes("b.png") == [1]
    assert dataset.annotations.classes("a.png") == []
    assert dataset.annotations.class_names == ("1",)


def test_class_names_come_from_classes_txt(folder):
    root = folder()
    (root / "classes.txt").write_text("pit\ncrack\n")
    assert open_dataset(root).annotations.class_names == ("pit", "crack")


@pytest.mark.parametrize(("text", "reason"), [("\n", "no class names"), ("a\na\n", "occurs twice")])
def test_bad_classes_txt_is_a_named_error(folder, text, reason):
    root = folder()
    (root / "classes.txt").write_text(text)
    with pytest.raises(InputError, match=reason):
        open_dataset(root)


@pytest.mark.parametrize(
    ("csv", "reason"),
    [
        (SEPARATE + "a.png,1,1 2\nx.png,1,1 2\ny.png,1,1 1\n", r"row 3: x.png not in .* \(and 1 more images\); add"),
        (SEPARATE + "a.png,1,1 2\nx.png,1,1 2\n", r"row 3: x.png not in .*train_images; add the image"),
        (JOINED + "a.png_1,1 2\nx.png_1,\n", r"x.png not in"),
    ],
)
def test_row_for_a_missing_image_is_an_error(folder, csv, reason):
    with pytest.raises(AnnotationError, match=reason):
        open_dataset(folder(csv))


def test_incomplete_folders_are_named_errors(tmp_path):
    with pytest.raises(InputError, match="no such folder; -dir expects"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(InputError, match="train_images: no such folder"):
        open_dataset(tmp_path)
    (tmp_path / "train_images").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        open_dataset(tmp_path)


def test_test_images_by_name(folder):
    assert names(open_test_images(folder(to="test_images"))) == [f"test_images/{n}.png" for n in "abc"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("test.csv", "ImageId\nc.png\na.png\n"),
        ("sample_submission.csv", JOINED + "c.png_1,1 1\nc.png_2,1 1\na.png_1,\na.png_2,\n"),
        ("sample_submission.csv", "ImageId,EncodedPixels,ClassId\nc.png,1 1,1\na.png,1 1,1\n"),
    ],
)
def test_test_images_in_the_order_of_their_table(folder, file, text):
    root = folder(to="test_images")
    (root / file).write_text(text)
    assert names(open_test_images(root)) == ["test_images/c.png", "test_images/a.png"]


def test_training_images_stand_in_for_test_images(folder):
    assert names(open_test_images(folder()))[0] == "train_images/a.png"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ImageId\na.png\nx.png\n", "row 3: x.png not in"),
        ("Name\na.png\n", "no column ImageId"),
        ("ImageId\n", "lists no"),
    ],
)
def test_bad_test_table_is_a_named_error(folder, text, reason):
    root = folder(to="test_images")
    (root / "test.csv").write_text(text)
    with pytest.raises(AnnotationError, match=reason):
        open_test_images(root)


def test_no_images_to_predict_is_an_error(tmp_path):
    with pytest.raises(InputError, match="neither test_images/ nor train_images/"):
        open_test_images(tmp_path)
    (tmp_path / "test_images").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        open_test_images(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_test_images(tmp_path / "nothing")
