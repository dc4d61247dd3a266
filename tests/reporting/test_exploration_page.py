"""The page about a dataset folder: what stands in it, with images and without."""

import html
import json
import re

import cv2
import numpy as np
import pytest

from config import ExploreConfig
from utils.commands.explore import explore
from utils.data.exploration import explore_folder
from utils.errors import InputError
from utils.reporting.exploration_page import pictures_to_draw

SECTIONS = ["Overview", "Classes", "Areas", "Classes together", "Places", "Images", "Near-duplicates", "Examples"]


def text_of(page: str) -> str:
    """Return what a reader sees."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


@pytest.fixture(scope="module")
def result(tmp_path_factory, write_dataset):
    """An exploration with its page; the tests below only read it."""
    root = write_dataset(tmp_path_factory.mktemp("exploration") / "data", count=8)
    # The same strip turned round: a near-duplicate with texture enough to be known by.
    strip = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (96, 128), dtype=np.uint8), (0, 0), 3)
    strip = cv2.normalize(strip, None, 0, 255, cv2.NORM_MINMAX)
    for name, picture in (("x.png", strip), ("y.png", strip[::-1, ::-1])):
        cv2.imwrite(str(root / "train_images" / name), picture)
    return explore(ExploreConfig(dir=root, out=root / "out", examples=2), progress=False)


def test_page_has_every_section_and_the_figures(result):
    page = result.page.read_text("utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", page)[1:] == SECTIONS
    text = text_of(page)
    assert "images 10" in text
    assert "clean 4 40.0% of the images" in text
    assert re.search(r"defective pixels [\d.]+% of all 10 images; [\d.]+% of the 6 with a defect", text)
    assert "Warning: of fewer than 51 areas" in text
    assert "pits 3, cracks 3" in text
    assert "Take no largest area from here." in text
    assert "a mistake" not in text
    assert result.table.name == "images.csv"
    assert len(result.table.read_text("utf-8").splitlines()) == 11
    assert "of 10 images show the same piece of strip" in text
    assert re.search(r"Group \d: 2 images x.png y.png", text)
    assert json.loads(result.numbers.read_text("utf-8"))["clean"] == 4
    assert result.text().startswith("images: 10, 6 with a defect, 4 clean\nimages per class: pits 3, cracks 3\n")
    assert (
        "\nwarning: percentiles of areas need 51 images and 51 defects of a class; the fewer of both: pits 3, cracks 3\n"
        in result.text()
    )


def test_page_needs_nothing_from_elsewhere(result):
    page = result.page.read_text("utf-8")
    assert "<script" not in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)


def test_announced_pictures_are_drawn(result):
    page = result.page.read_text("utf-8")
    announced = pictures_to_draw(result.found, 2)
    assert announced >= 2 + 2 + 2 + 2  # near-duplicates, pits, cracks, clean
    assert page.count("with outlines of its defects") == announced


@pytest.mark.slow
def test_same_folder_same_page(result, tmp_path):
    again = explore(ExploreConfig(dir=result.found.root, out=tmp_path / "again.html", examples=2), progress=False)
    assert again.page.read_bytes() == result.page.read_bytes()
    assert again.numbers == tmp_path / "again.json"
    assert again.table.read_bytes() == result.table.read_bytes()
    assert again.table == tmp_path / "again-images.csv"


def test_labels_alone_say_what_is_left_out(tmp_path):
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.jpg,1,1 5\na.jpg,3,20 4\nb.jpg,3,1 900\n")
    text = text_of(explore(ExploreConfig(dir=tmp_path), progress=False).page.read_text("utf-8"))
    assert "clean - not listed in the table" in text
    assert f"There is no train_images/ in {tmp_path}" in text
    assert "Places Not known: there are no images to tell their size. Give it with -image_size H,W." in text
    assert text.count("Needs the images") == 3
    assert "Images by the number of classes that they show: 1 with one class, 1 with two classes." in text
    sized = explore(ExploreConfig(dir=tmp_path, image_size=(30, 50)), progress=False).page.read_text("utf-8")
    assert "% of the height" not in text_of(sized)  # letters of plots are shapes
    assert sized.count("places of class ") == 2  # class 2 never occurs
    assert "class 2: no image" not in sized


@pytest.mark.parametrize(
    ("table", "pixels"), [("a.png,1,1 4\n", 4), ("a.png,1,1 1\nb.png,1,1 1\n", 1), ("a.png_1,\n", None)]
)
def test_smallest_tables(tmp_path, table, pixels):
    joined = "_" in table
    (tmp_path / "train.csv").write_text(
        ("ImageId_ClassId" if joined else "ImageId,ClassId") + f",EncodedPixels\n{table}"
    )
    found = explore(ExploreConfig(dir=tmp_path, image_size=(4, 4)), progress=False).found
    largest = found.labels.area_table()["max"].iloc[0]
    assert np.isnan(largest) if pixels is None else largest == pixels


def test_bad_place_is_refused_before_anything_is_read(make_dataset, tmp_path, monkeypatch):
    root = make_dataset()
    monkeypatch.setattr("utils.commands.explore.explore_folder", lambda *_: pytest.fail("was read"))
    (tmp_path / "d.html").mkdir()
    (tmp_path / "f").write_text("")
    for out, said in (("d.html", "is a folder; name a file"), ("f", "is a file; name a folder"), ("f/x", "is a file")):
        with pytest.raises(InputError, match=said):
            explore(ExploreConfig(dir=root, out=tmp_path / out), progress=False)


@pytest.mark.slow
def test_long_class_names_and_odd_letters_stay_text(make_dataset):
    root = make_dataset(
        class_names=("<b>pits</b> & holes", "Ünïcode with a very long name, much longer than any plot has room for")
    )
    page = explore(ExploreConfig(dir=root), progress=False).page.read_text("utf-8")
    assert "<b>pits" not in page
    assert "&lt;b&gt;pits&lt;/b&gt; &amp; holes" in page


def test_figures_stay_when_examples_are_left_out(make_dataset):
    found = explore_folder(ExploreConfig(dir=make_dataset(), near_duplicates=False), progress=False)
    assert pictures_to_draw(found, 0) == 0
