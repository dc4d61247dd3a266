"""Ignored pixels on their way to the network: through sizes, crops, augmentation, painting and batches."""

import numpy as np
import pytest
import torch
from PIL import Image

from config import CheckConfig
from utils.data import rle, transforms
from utils.data.annotation_table import write_annotations, write_ignored
from utils.data.annotations import Annotations, make_rows
from utils.data.checks import check
from utils.data.dataset import NOT_COUNTED, Key, StripDataset, collate
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.soft_masks import CERTAIN, SoftTargets, read_soft_mask, write_soft_mask
from utils.errors import InputError

HEIGHT, WIDTH = 32, 64


class Drawn:
    """Gives an image in which every ignored pixel is white, so that image and mask can be compared."""

    def __init__(self, white):
        self.white = white

    def read(self, name):
        return np.repeat(np.where(self.white, 255, 0).astype(np.uint8)[..., None], 3, axis=2), self.white.shape


@pytest.fixture
def ignored():
    plane = np.zeros((HEIGHT, WIDTH), bool)
    plane[8:24, 16:40] = True
    return plane


def dataset(ignored, tmp_path):
    defect = np.zeros((HEIGHT, WIDTH), bool)
    defect[2:6, 2:9] = True
    rows = make_rows([("a.png", 1, rle.encode(defect), 0), ("b.png", 2, rle.encode(defect), 0)])
    annotations = Annotations(rows, (), ("pit", "crack"), ignored={"a.png": rle.encode(ignored)})
    return Dataset(tmp_path, tmp_path, ("a.png", "b.png"), annotations)


@pytest.mark.parametrize("task", ["multilabel", "binary", "multiclass", "per-class"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"crop": (16, 16)}, {"augment": "flips"}, {"augment": "d4"}, {"augment": "published"}, {"blackout": 1.0},
     {"start_size": (16, 32)}],
)  # fmt: skip
def test_ignored_pixels_go_where_the_image_goes(ignored, tmp_path, task, settings):
    strips = StripDataset(
        dataset(ignored, tmp_path),
        ("a.png", "b.png"),
        task=task,
        target=1 if task == "per-class" else None,
        images=Drawn(ignored),
        keep_truth=True,
        **settings,
    )
    for seed in range(5):
        sample = strips[Key(0, seed, 0.0)]
        marked = sample.masks == NOT_COUNTED
        assert (marked == marked[..., :1]).all()
        white = sample.image.mean(axis=2) > 128
        # Distorted images are interpolated, masks are not; light changes what is white. The borders may differ.
        assert (marked[..., 0] ^ white).mean() < (0.12 if settings.get("augment") else 0.001)
        assert marked.any() or "crop" in settings
        assert set(np.unique(sample.masks)) <= {0, 1, NOT_COUNTED}
        if settings.get("blackout"):
            assert not (sample.masks == 1).any()
        truth = sample.masks if sample.truth is None else sample.truth
        if not settings.get("augment") and "start_size" not in settings and "blackout" not in settings:
            assert np.array_equal(truth[..., 0] == NOT_COUNTED, ignored)
    assert not (strips[Key(1, 0, 0.0)].masks == NOT_COUNTED).any()


def test_a_batch_carries_ignored_pixels_in_masks_and_truth(ignored, tmp_path):
    strips = StripDataset(
        dataset(ignored, tmp_path), ("a.png", "b.png"), task="multilabel", images=Drawn(ignored), keep_truth=True
    )
    batch = collate([strips[Key(0, 0, 1.0)], strips[Key(1, 0, 1.0)]])
    assert torch.equal(batch["masks"][0, 1] == NOT_COUNTED, torch.from_numpy(ignored))
    assert torch.equal(batch["truth"][0][0] == NOT_COUNTED, torch.from_numpy(ignored))
    assert not (batch["masks"][1] == NOT_COUNTED).any()


@pytest.fixture
def folder(tmp_path, ignored):
    (tmp_path / "train_images").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "train_images" / name)
    write_annotations(make_rows([("a.png", 1, "1 3", 0)]), tmp_path / "train.csv")
    write_ignored({"a.png": rle.encode(ignored)}, tmp_path / "ignore.csv")
    return tmp_path


def test_ignored_pixels_are_read_beside_the_labels_and_checked(folder, ignored):
    assert np.array_equal(open_dataset(folder).annotations.ignored_mask("a.png", HEIGHT, WIDTH), ignored)
    report = check(CheckConfig(dir=folder), progress=False)
    assert report.problems.empty
    assert "with pixels that count neither in the loss nor in scores: 1 image, 9.38% of all pixels" in report.facts


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["a.png,9999999 5"], "ignore.csv: a.png: pair 1: "),
        (["a.png,5"], "ignore.csv, row 2: a.png: 1 numbers"),
        (["a.png,1 2", "a.png,5 2"], "ignore.csv, row 3: a.png has a row already"),
        ([",1 2"], "ignore.csv, row 2: no image name"),
        (["z.png,1 2"], "ignore.csv: z.png not in"),
    ],
)
def test_a_malformed_table_of_ignored_pixels_is_one_line_and_a_problem(folder, rows, problem):
    (folder / "ignore.csv").write_text("\n".join(["ImageId,EncodedPixels", *rows]) + "\n")
    report = check(CheckConfig(dir=folder), progress=False)
    assert len(report.problems) == 1
    assert problem in report.text()
    with pytest.raises(InputError):
        open_dataset(folder).annotations.ignored_mask("a.png", HEIGHT, WIDTH)


def test_ignored_pixels_take_part_in_the_datas_fingerprint(folder):
    from utils.training.provenance import data_fingerprint

    before = data_fingerprint(open_dataset(folder))
    write_ignored({"a.png": "1 5"}, folder / "ignore.csv")
    changed = data_fingerprint(open_dataset(folder))
    (folder / "ignore.csv").unlink()
    assert len({before, changed, data_fingerprint(open_dataset(folder))}) == 3


@pytest.fixture
def taught(ignored, tmp_path):
    """A function that makes a dataset whose images are as bright as the teacher is sure: of class 1, half as of class 2."""
    ramp = np.linspace(0, CERTAIN, WIDTH).astype(np.uint8)[None].repeat(HEIGHT, 0)
    ramp[: HEIGHT // 2] = 0
    write_soft_mask(tmp_path / "soft.png", np.stack([ramp, ramp // 2]))

    class Ramp:
        def read(self, name):
            return np.repeat(ramp[..., None], 3, axis=2), ramp.shape

    def make(weight=0.5, unlabelled=("b.png",), size=None, **settings):
        source = Ramp()
        if size:
            source.read = lambda name: (transforms.resize(Ramp().read(name)[0], *size), (HEIGHT, WIDTH))
        soft = SoftTargets(dict.fromkeys(("a.png", "b.png"), tmp_path / "soft.png"), frozenset(unlabelled), weight)
        return StripDataset(
            dataset(ignored, tmp_path), ("a.png", "b.png"), task="multilabel", images=source, soft=soft, **settings
        )

    return make


@pytest.mark.parametrize(
    "settings",
    [{}, {"crop": (16, 16)}, {"crop": (16, 16), "crop_defect": 1.0}, {"crop": (48, 80)}, {"start_size": (16, 32)},
     {"augment": "flips"}, {"augment": "published"}, {"size": (16, 32)}, {"size": (64, 128), "crop": (32, 32)}],
)  # fmt: skip
def test_what_the_teacher_says_goes_where_the_image_goes(taught, settings):
    light = settings.get("augment") is not None
    strips = taught(**settings)
    if light:  # the light of the image changes, what the teacher says does not
        strips.augment.transforms = [one for one in strips.augment.transforms if "Brightness" not in type(one).__name__]
    for seed in range(5):
        sample = strips[Key(1, seed, 0.0)]
        assert sample.masks.dtype == np.float32
        assert sample.masks.shape == (*sample.image.shape[:2], 2)
        said = sample.masks[..., 0] * CERTAIN
        # Distorted images are interpolated, masks are not.
        assert np.abs(said - sample.image[..., 0])[1:-1].mean() < (8 if light else 4)
        assert np.abs(sample.masks[..., 0] / 2 - sample.masks[..., 1]).max() <= 1.01 / CERTAIN
        if settings.get("crop_defect"):
            assert (said >= CERTAIN / 2).any(), "a window on what the teacher sees"


@pytest.mark.parametrize("settings", [{}, {"crop": (16, 16)}, {"size": (16, 32)}, {"augment": "flips"}])
def test_where_a_teacher_disagrees_with_itself_nothing_is_learnt(taught, settings):
    strips = taught(**settings)
    file = strips.soft.files["b.png"]
    levels = read_soft_mask(file, HEIGHT, WIDTH)
    levels[:, HEIGHT // 2 :] = NOT_COUNTED
    write_soft_mask(file, levels)
    for seed in range(4):
        masks = strips[Key(1, seed, 1.0)].masks
        unsure = masks == NOT_COUNTED
        assert (unsure.all(2) == unsure.any(2)).all()
        assert masks[~unsure].max(initial=0) <= 1
        if "crop" not in settings:
            assert unsure.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_labels_and_the_teacher_are_mixed_where_both_are(taught, ignored, tmp_path, weight):
    labels = StripDataset(dataset(ignored, tmp_path), ("a.png",), task="multilabel", images=Drawn(ignored))
    hard = labels[Key(0, 0, 1.0)].masks
    strips = taught(weight)
    soft = strips[Key(1, 0, 1.0)].masks
    mixed = strips[Key(0, 0, 1.0)].masks
    assert np.array_equal(mixed == NOT_COUNTED, hard == NOT_COUNTED), "what does not count stays so"
    counted = ~ignored
    assert hard[counted].any()
    expected = (1 - weight) * hard[counted] + weight * soft[counted]
    assert np.abs(mixed[counted] - expected).max() <= 0.51 / CERTAIN
    assert soft[counted].max() == 1.0
    batch = collate([strips[Key(0, 0, 1.0)], strips[Key(1, 0, 1.0)]])
    assert batch["masks"].dtype == torch.float32
