import cv2
import numpy as np
import pytest

from utils.data.duplicates.description import describe
from utils.data.duplicates.hashes import BYTES, QUERY_POINTS, Hashes, hash_of, query_of
from utils.data.duplicates.symmetry import SYMMETRIES, lay
from utils.weights import image_hashes


def surface(seed, height=220, width=260):
    rng = np.random.default_rng(seed)
    image = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 90, (height, width)).astype(np.float32), (0, 0), 2), 0, 255)
    for _ in range(8):  # spots that stand out, as on steel
        centre = (int(rng.integers(40, width - 40)), int(rng.integers(40, height - 40)))
        cv2.ellipse(image, centre, (int(rng.integers(4, 9)), int(rng.integers(2, 5))), 30, 0, 360, 255.0, -1)
    return image.astype(np.uint8)


def asked(picture):
    return query_of(describe(np.ascontiguousarray(picture), 1.0, QUERY_POINTS))


@pytest.fixture(scope="module")
def hashes():
    return Hashes(np.stack([hash_of(describe(surface(seed)[:200, :240], 1.0)) for seed in range(6)]))


def jpeg(picture):
    return cv2.imdecode(cv2.imencode(".jpg", np.ascontiguousarray(picture), [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 0)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda s: s[:200, :240], "whole"),
        (lambda s: jpeg(s[:200, :240]), "whole"),
        (lambda s: (s[:200, :240] * 0.7 + 30).astype(np.uint8), "whole"),
        (lambda s: s[3:200, 2:240], "whole"),
        (lambda s: s[20:220, 20:260], "part"),
        (lambda s: s[:170, :200], "part"),
    ],
    ids=["same", "JPEG", "light", "cut a little", "shifted", "crop"],
)
def test_a_copy_is_known_in_all_symmetries(hashes, change, kind, symmetry):
    assert hashes.matches(asked(lay(change(surface(2)), symmetry))) == {2: kind}


@pytest.mark.parametrize("seed", range(6, 12))
def test_another_picture_is_not_known(hashes, seed):
    assert hashes.find(asked(surface(seed)[:200, :240])) is None


def test_plates_of_one_pattern_are_no_copies():
    def plate(seed):
        image = np.random.default_rng(seed).normal(120, 6, (200, 240)).astype(np.float32)
        for y in range(15 + 2 * seed, 200, 30):
            for x in range(15 + 3 * seed, 240, 40):
                cv2.ellipse(image, (x, y), (9, 4), 30, 0, 360, 230.0, -1)
        return np.clip(image, 0, 255).astype(np.uint8)

    first, second = plate(1), plate(5)
    hashes = Hashes(hash_of(describe(first, 1.0))[None])
    assert hashes.find(asked(first)) == "whole"
    assert hashes.find(asked(second)) is None


def test_nothing_is_known_of_flat_images():
    flat = np.full((200, 240), 90, np.uint8)
    hashes = Hashes(np.stack([hash_of(describe(flat, 1.0))] * 2))
    assert hashes.find(asked(flat)) is None
    assert hashes.find(asked(surface(0))) is None
    assert Hashes(np.zeros((0, BYTES), np.uint8)).find(asked(surface(0))) is None


def test_a_hash_has_as_many_bytes_as_weights_files_keep():
    assert hash_of(describe(surface(0), 1.0)).shape == (BYTES,) == (image_hashes.BYTES,)
