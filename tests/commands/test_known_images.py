import cv2
import numpy as np
import pytest
from PIL import Image

from utils.commands.known_images import KnownImages, find_known, recorded
from utils.data.duplicates.description import describe
from utils.data.duplicates.hashes import hash_of
from utils.scoring.labels import LabelAnswers, label_scores
from utils.weights.image_hashes import ImageHashes, of_images


def surface(seed):
    rng = np.random.default_rng(seed)
    image = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 90, (120, 160)).astype(np.float32), (0, 0), 2), 0, 255)
    return image.astype(np.uint8)


def hashed(*seeds):
    return np.stack([hash_of(describe(surface(seed), 1.0)) for seed in seeds])


@pytest.fixture
def paths(tmp_path):
    """A training image turned, a validation image mirrored, another image, and a file that is none."""
    for name, picture in {"a": np.rot90(surface(0)), "b": surface(1)[::-1], "c": surface(2)}.items():
        Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / f"{name}.png")
    (tmp_path / "d.png").write_bytes(b"no image")
    return [tmp_path / f"{name}.png" for name in "abcd"]


@pytest.mark.parametrize(("validating", "valid"), [(False, ("b.png",)), (True, ())])
def test_copies_of_training_and_of_validation_images_are_known(paths, validating, valid):
    found = find_known(of_images(1.0, hashed(0), hashed(1)), paths, validating, 1)
    assert (found.whole, found.part, found.valid) == (("a.png",), (), valid)
    assert found.seen == {"a.png", *valid}
    inside = find_known(of_images(1.0, hashed(0), hashed(1)), paths, validating, 1, paths[0].parents[1])
    assert inside.whole == (f"{paths[0].parent.name}/a.png",), "equal names in different folders stay apart"


def scores_of(count):
    answers = LabelAnswers()
    answers.add([str(k) for k in range(count)], np.full((count, 1), 0.9, np.float32), np.ones((count, 1), bool))
    return label_scores(answers, ["pit"], [0.5])


@pytest.mark.parametrize(
    ("known", "left", "line"),
    [
        (
            KnownImages(420, 2652, ("a",) * 403, ("b",) * 4, ("c",) * 3),
            10,
            "407 of 420 images have a copy among the 2,652 training images (403 whole, 4 in part), 3 more"
            " among the validation images; without them Dice 0.92 (10 images)",
        ),
        (
            KnownImages(1, 1, ("a",)),
            0,
            "1 of 1 image has a copy among the 1 training image (1 whole, 0 in part); no other is left",
        ),
        (KnownImages(420, 9), 0, "no copy of these 420 images was found among the 9 training images"),
        (
            KnownImages(420, 9, unknown=("x.pth",)),
            0,
            "no copy of these 420 images was found among the 9 training images; the training images of x.pth, which it went"
            " on from, are not known",
        ),
        (
            KnownImages(420, 0),
            0,
            "the weights file has no hashes of its training images: copies of them among these images cannot be looked for",
        ),
    ],
)
def test_the_line_says_what_is_known(known, left, line):
    assert known.text("Dice 0.92", scores_of(left) if left else None) == line


@pytest.mark.parametrize("hashes", [None, ImageHashes(unknown=("x.pth",))])
def test_weights_without_hashes_cannot_be_looked_at(paths, hashes):
    assert find_known(hashes, paths, False, 1).trained == 0


def test_what_is_recorded():
    assert recorded(None, None) == {}
    entry = recorded(KnownImages(3, 9, ("a",)), scores_of(2))["copies_of_training_images"]
    assert (entry["whole_picture"], entry["scores_without"]["images"]) == (["a"], 2)
