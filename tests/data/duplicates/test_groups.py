import cv2
import numpy as np
import pytest
from PIL import Image

from utils.data.annotations import Annotations, make_rows
from utils.data.dataset_folder import Dataset
from utils.data.duplicates import groups as searching
from utils.data.duplicates import pairs
from utils.data.duplicates.groups import describe_groups, near_duplicate_groups
from utils.data.listing import list_images


@pytest.fixture(autouse=True)
def users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users_cache"))


def strip(seed, height=300, width=400):
    """Draw a surface with noise, a slow change of light and a few blobs."""
    generator = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(generator.normal(0, 60, (height, width)).astype(np.float32), (0, 0), 1.5)
    light = np.linspace(generator.uniform(-40, 40), generator.uniform(-40, 40), width)[None]
    image = np.clip(120 + noise + light, 0, 255).astype(np.uint8)
    for _ in range(12):
        centre = (int(generator.integers(width)), int(generator.integers(height)))
        cv2.circle(image, centre, int(generator.integers(3, 9)), int(generator.integers(256)), -1)
    return image


@pytest.fixture
def dataset(tmp_path):
    """Make a dataset from name -> grey image, stored as JPEG like real strips."""

    def make(pictures):
        folder = tmp_path / "train_images"
        folder.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            Image.fromarray(picture).save(folder / f"{name}.jpg", quality=90)
        names = tuple(path.name for path in list_images(folder))
        return Dataset(tmp_path, folder, names, Annotations(make_rows([]), (), ("1",)))

    return make


def groups_of(dataset):
    groups = near_duplicate_groups(dataset, 1, False)
    members = {}
    for name, group in groups.items():
        members.setdefault(group, []).append(name.removesuffix(".jpg"))
    return sorted(members.values())


CHANGES = {
    "same": lambda s: s[:200, :200],
    "left-right": lambda s: s[:200, :200][:, ::-1],
    "up-down": lambda s: s[:200, :200][::-1],
    "turned by a half": lambda s: s[:200, :200][::-1, ::-1],
    "turned by a quarter": lambda s: np.rot90(s[:200, :200]),
    "turned by three quarters": lambda s: np.rot90(s[:200, :200], 3),
    "transposed": lambda s: s[:200, :200].T,
    "turned and transposed": lambda s: s[:200, :200][::-1, ::-1].T,
    "down": lambda s: s[60:260, :200],
    "right": lambda s: s[:200, 110:310],
    "shifted": lambda s: s[37:237, 53:253],
    "shifted turned by a half": lambda s: s[37:237, 53:253][::-1, ::-1],
    "shifted mirrored": lambda s: s[37:237, 53:253][:, ::-1],
    "shifted turned by a quarter": lambda s: np.rot90(s[37:237, 53:253]),
    "shifted transposed": lambda s: s[37:237, 53:253].T,
    "part of it": lambda s: s[30:140, 20:170],
    "part of it turned by a quarter": lambda s: np.rot90(s[30:140, 20:170]),
    "light": lambda s: (s[:200, :200] * 0.9 + 8).astype(np.uint8),
    "light and turned by a quarter": lambda s: np.rot90((s[:200, :200] * 0.8 + 20).astype(np.uint8)),
    "JPEG of low quality": lambda s: cv2.imdecode(
        cv2.imencode(".jpg", np.ascontiguousarray(s[:200, :200]), [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_joins_its_original_and_nothing_else(dataset, change):
    source = strip(1)
    pictures = {
        "a": source[:200, :200],
        "b": change(source),
        **{f"other{k}": strip(10 + k)[:200, :200] for k in range(8)},
    }
    assert groups_of(dataset(pictures)) == [["a", "b"], *([f"other{k}"] for k in range(8))]


@pytest.mark.parametrize("turned", [False, True])
def test_a_shift_is_found_in_images_that_are_shrunk_first(dataset, turned):
    source = strip(1, 400, 2400)
    other = source[80:336, 400:2000]
    pictures = {"a": source[:256, :1600], "b": np.rot90(other) if turned else other, "c": strip(2, 256, 1600)}
    assert groups_of(dataset(pictures)) == [["a", "b"], ["c"]]


def bright_bar(seed):
    """Draw a surface of its own, under the same bright bar: what different images of one roller look like."""
    image = strip(seed, 200, 200)
    image[90:100] = 255
    return cv2.addWeighted(image, 0.2, np.repeat(image.mean(axis=1, keepdims=True), 200, 1).astype(np.uint8), 0.8, 0)


def test_stripes_alone_are_no_copy(dataset):
    assert groups_of(dataset({str(k): bright_bar(k) for k in range(6)})) == [[str(k)] for k in range(6)]


def test_flat_images_and_tiny_images_are_alone(dataset):
    pictures = {"a": np.full((100, 100), 80, np.uint8), "b": np.full((100, 100), 80, np.uint8), "c": strip(1)[:20, :20]}
    assert groups_of(dataset(pictures)) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 2048)])
def test_a_line_among_large_images_is_alone(dataset, shape):
    pictures = {"a": strip(1, 512, 2048), "b": np.full(shape, 80, np.uint8), "c": strip(2, 512, 2048)}
    assert groups_of(dataset(pictures)) == [["a"], ["b"], ["c"]]


def test_images_of_different_sizes_are_compared(dataset):
    source = strip(3)
    pictures = {"a": source[:200, :200], "b": source[20:240, 30:300], "c": strip(4)[:150, :300]}
    assert groups_of(dataset(pictures)) == [["a", "b"], ["c"]]


def test_a_chain_never_joins_the_whole_set(dataset):
    source = strip(5, 200, 1400)
    pictures = {f"{k:02d}": source[:, 60 * k : 60 * k + 200] for k in range(20)}
    members = groups_of(dataset(pictures))
    assert max(map(len, members)) <= searching.LARGEST_LEAST
    assert sum(map(len, members)) == 20
    assert len(members) < 10


def test_the_result_is_kept_until_an_image_changes(dataset, monkeypatch):
    source = strip(1)
    opened = dataset({"a": source[:200, :200], "b": source[:200, :200][::-1], "c": strip(2)[:200, :200]})
    first = near_duplicate_groups(opened, 1, False)
    monkeypatch.setattr(Dataset, "read", lambda *_, **__: pytest.fail("an image was opened"))
    assert near_duplicate_groups(opened, 1, False) == first == {"a.jpg": 0, "b.jpg": 0, "c.jpg": 1}
    monkeypatch.undo()
    changed = dataset({"c": source[:200, :200]})
    assert set(near_duplicate_groups(changed, 1, False).values()) == {0}


def test_groups_of_a_part_of_the_images(dataset):
    source = strip(1)
    opened = dataset({"a": source[:200, :200], "b": strip(2)[:200, :200], "c": source[:200, :200]})
    assert near_duplicate_groups(opened, 1, False, ["c.jpg", "b.jpg"]) == {"b.jpg": 0, "c.jpg": 1}
    assert near_duplicate_groups(opened, 1, False, []) == {}


def test_groups_are_described():
    groups = {"a": 0, "b": 0, "c": 1}
    assert describe_groups(groups) == "3 images in 2 groups, 1 without near-duplicates, largest 2"
    assert describe_groups({}) == "0 images in 0 groups, 0 without near-duplicates, largest 0"


def test_groups_do_not_depend_on_how_much_is_compared_at_a_time(dataset, monkeypatch):
    pictures = {}
    for seed in range(4):
        whole = strip(seed)
        pictures |= {f"{seed}a": whole[:200, :200], f"{seed}b": whole[60:260, :200][:, ::-1]}
    expected = groups_of(dataset(pictures))
    assert len(expected) == 4
    monkeypatch.setattr(pairs, "BLOCK", 1)
    monkeypatch.setattr(searching.FileCache, "get", lambda *_: None)
    assert groups_of(dataset(pictures)) == expected
