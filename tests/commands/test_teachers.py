"""Teachers: who may teach what, who answers about which image, and that each answer is asked for once."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from config import TrainConfig
from tests.conftest import NARROW
from utils.commands import teacher_answers, teachers
from utils.commands.teachers import ask_teachers
from utils.data.dataset import NOT_COUNTED
from utils.data.dataset_folder import open_dataset
from utils.data.folds import write_folds
from utils.data.soft_masks import CERTAIN, read_soft_mask
from utils.data.splits import write_split
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.training.image_hashes import hash_images
from utils.training.provenance import data_fingerprint
from utils.training.teaching import write_teaching
from utils.weights.finding import find
from utils.weights.weights_file import load


@pytest.fixture
def case(make_dataset, monkeypatch, tmp_path):
    """A dataset of images that differ, its names, and a function that asks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dataset = open_dataset(make_dataset(count=9))

    def ask(*sources, task="multilabel", train=range(6), valid=range(6, 9), resumed=None, **flags):
        names = dataset.images
        config = TrainConfig(
            dir=dataset.root, teacher=tuple(map(str, sources)), device="cpu", task=task, num_of_workers=1, **flags
        )
        spec = ModelSpec(
            "unet", "test_resnet", task, ("pits", "cracks"), decoder_channels=NARROW, target=flags.get("target")
        )
        judged = {"validation": [names[k] for k in valid], "test": []}
        return ask_teachers(config, spec, dataset, [names[k] for k in train], judged, resumed)

    return dataset, ask


def trained_on(source: Path, to: Path, dataset, numbers, hashes=True, seed=0, split=True) -> Path:
    """Copy weights into a folder, as if they had learnt these images."""
    stored = load(find(source))
    names = [dataset.images[k] for k in numbers]
    state = {
        name: tensor + 0.01 * seed if tensor.is_floating_point() else tensor
        for name, tensor in stored.state_dict.items()
    }
    new = dataclasses.replace(
        stored,
        state_dict=state,
        image_hashes=hash_images(dataset, names, [], 1) if hashes else None,
        provenance={"data_fingerprint": data_fingerprint(dataset)},
    )
    to.mkdir(parents=True, exist_ok=True)
    if split:
        sides = ["train" if name in names else "valid" for name in dataset.images]
        write_split(
            pd.DataFrame({"image": dataset.images, "side": sides, "group": range(len(sides))}), to / "split.csv"
        )
    new.save_named(to, "unet-test")
    return to


def answer(teaching, name, dataset) -> np.ndarray:
    size = dataset.read(name).shape[:2]
    return read_soft_mask(teaching.targets.files[name], *size) / CERTAIN


def test_each_image_is_asked_about_once(case, make_weights, tmp_path, monkeypatch):
    dataset, ask = case
    source = trained_on(make_weights(), tmp_path / "run", dataset, [0, 1])
    teaching = ask(source)
    assert set(teaching.targets.files) == set(dataset.images[:6])
    assert [one["file"] for one in teaching.teachers] == [find(source).name]
    assert any(
        "has learnt 2 of the 6 training images, of which it repeats the labels" in note for note in teaching.notes
    )
    monkeypatch.setattr(teacher_answers, "open_pipeline", None)
    assert ask(source).targets == teaching.targets, "nothing is asked again"
    with pytest.raises(TypeError):
        ask(source, train=range(5), teacher_tta="flips")


def test_a_run_of_folds_answers_by_the_network_that_has_not_learnt_the_image(case, make_weights, tmp_path):
    dataset, ask = case
    names = dataset.images
    run = tmp_path / "folds"
    one = trained_on(make_weights(), run / "fold-1", dataset, [3, 4, 5])
    two = trained_on(make_weights(), run / "fold-2", dataset, [0, 1, 2], seed=3)
    folds = pd.DataFrame({"image": names[:6], "fold": [1, 1, 1, 2, 2, 2], "group": range(6)})
    write_folds(folds, run / "folds.csv")
    of_run = ask(run)
    assert not [note for note in of_run.notes if "repeats the labels" in note]
    alone = [ask(one), ask(two)]
    for number in range(6):
        ours = answer(of_run, names[number], dataset)
        own, other = (answer(alone[k], names[number], dataset) for k in ((0, 1) if number < 3 else (1, 0)))
        assert np.array_equal(ours, own)
        assert not np.array_equal(ours, other)
    # Images of neither fold are answered by both.
    rest = pd.DataFrame({"image": names[:4], "fold": [1, 1, 1, 2], "group": range(4)})
    write_folds(rest, run / "folds.csv")
    both = answer(ask(run), names[5], dataset)
    mean = (answer(alone[0], names[5], dataset) + answer(alone[1], names[5], dataset)) / 2
    assert np.abs(both - mean).max() <= 1.01 / CERTAIN
    assert (
        np.abs(
            answer(ask(one, two), names[0], dataset)
            - (answer(alone[0], names[0], dataset) + answer(alone[1], names[0], dataset)) / 2
        ).max()
        <= 1.01 / CERTAIN
    )


@pytest.mark.parametrize(("hashes", "split"), [(True, False), (False, True)])
def test_a_teacher_that_has_learnt_validation_images_is_refused(case, make_weights, tmp_path, hashes, split):
    dataset, ask = case
    source = trained_on(make_weights(), tmp_path / "run", dataset, [0, 6, 7, 8], hashes=hashes, split=split)
    with pytest.raises(InputError, match=r"run: has learnt 3 of the 3 validation images, so that scores .* -split"):
        ask(source)


def test_what_may_be_chance_is_a_line(case, make_weights, tmp_path):
    dataset, ask = case
    source = trained_on(make_weights(), tmp_path / "run", dataset, [0, 8], split=False)
    assert any("of the 3 validation images may be copies of images that it has learnt" in n for n in ask(source).notes)


def test_a_teacher_of_which_nothing_is_known_teaches_with_a_line(case, make_weights):
    _, ask = case
    (note,) = ask(make_weights()).notes
    assert "not all images that it has learnt are known" in note


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"task": "binary"}, r"knows defects without their class, and not pits, cracks"),
        ({"class_names": ("pits", "scratches")}, r"knows pits, scratches, and not cracks"),
    ],
)
def test_a_teacher_of_other_classes_is_refused(case, make_weights, flags, words):
    _, ask = case
    with pytest.raises(InputError, match=words):
        ask(make_weights(**flags))


@pytest.mark.parametrize(
    ("spec", "task", "words"),
    [
        (("classifier", "resnet18", "classify-multilabel", ("pits", "cracks")), "multilabel", "judges whole images"),
        (("unet", "resnet18", "per-class", ("pits", "cracks"), 3, "pits"), "binary", "finds pits alone"),
    ],
)
def test_a_teacher_of_another_kind_is_refused(spec, task, words):
    chosen = SimpleNamespace(weights=SimpleNamespace(spec=ModelSpec(*spec)))
    with pytest.raises(InputError, match=words):
        teachers._mapping("run", chosen, ModelSpec("unet", "resnet18", task, ("pits", "cracks")))


def test_any_defect_and_one_class_are_learnt_from_a_teacher_of_classes(case, make_weights):
    dataset, ask = case
    whole = answer(ask(make_weights()), dataset.images[0], dataset)
    binary = answer(ask(make_weights(), task="binary"), dataset.images[0], dataset)
    assert np.abs(binary[0] - whole.max(0)).max() <= 1 / CERTAIN
    one = answer(ask(make_weights(), task="per-class", target="cracks"), dataset.images[0], dataset)
    assert np.array_equal(one[0], whole[1])


def test_nothing_there_is_named(case, tmp_path):
    _, ask = case
    with pytest.raises(InputError, match=r"-teacher .*nowhere: no such file or folder"):
        ask(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"-teacher .*empty: .*no \.pth file in it"):
        ask(tmp_path / "empty")


def test_unlabelled_images_that_judge_the_network_are_left_out(case, make_weights, make_dataset, tmp_path):
    dataset, ask = case
    other = tmp_path / "more"
    (other / "within").mkdir(parents=True)
    random = np.random.default_rng(9)
    smooth = cv2.resize(random.integers(0, 255, (6, 9), dtype=np.uint8), (90, 60), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(other / "within/new.png"), smooth)
    cv2.imwrite(str(other / "copy.png"), dataset.read(dataset.images[7])[:, ::-1, ::-1])
    teaching = ask(make_weights(), unlabelled=other, accept="all")
    assert [Path(name).name for name in teaching.unlabelled] == ["new.png"]
    assert teaching.targets.unlabelled == set(teaching.unlabelled)
    assert set(teaching.unlabelled) < set(teaching.targets.files)
    assert any(
        "1 of 2 images left out, since the network is judged by copies of them (copy.png first)" in n
        for n in teaching.notes
    )
    write_teaching(tmp_path, teaching)
    (other / "later.png").write_bytes((other / "within/new.png").read_bytes())
    again = ask(make_weights(), unlabelled=other, accept="all", resumed=tmp_path)
    assert again.unlabelled == teaching.unlabelled, "a run that goes on keeps its images"
    (other / "within/new.png").unlink()
    with pytest.raises(InputError, match=r"new\.png: an unlabelled image that the run began with is missing"):
        ask(make_weights(), unlabelled=other, resumed=tmp_path)


def test_a_copy_does_not_take_images_of_its_name_in_other_folders_along(case, make_weights, tmp_path):
    dataset, ask = case
    other = tmp_path / "more"
    random = np.random.default_rng(9)
    for number, camera in enumerate(("left", "middle", "right")):
        (other / camera).mkdir(parents=True)
        smooth = cv2.resize(random.integers(0, 255, (6, 9), dtype=np.uint8), (90, 60), interpolation=cv2.INTER_CUBIC)
        copy = dataset.read(dataset.images[7])[:, ::-1, ::-1]
        cv2.imwrite(str(other / camera / "0001.png"), copy if number == 1 else smooth)
    teaching = ask(make_weights(), unlabelled=other, accept="all")
    assert [Path(name).parent.name for name in teaching.unlabelled] == ["left", "right"]


def test_a_teacher_that_has_learnt_one_image_has_not_learnt_those_of_its_name(case, make_weights, tmp_path):
    dataset, _ = case
    learnt = dataset.read(dataset.images[0])
    root = tmp_path / "cameras"
    random = np.random.default_rng(9)
    for camera in range(4):
        (root / f"train_images/{camera}").mkdir(parents=True)
        smooth = cv2.resize(random.integers(0, 255, (6, 9), dtype=np.uint8), (90, 60), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / f"train_images/{camera}/0001.png"), smooth if camera else learnt[..., ::-1])
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n0/0001.png,1,1 5\n")
    (root / "classes.txt").write_text("pits\ncracks\n")
    cameras = open_dataset(root)
    teacher = trained_on(make_weights(), tmp_path / "teacher", dataset, [0], split=False)
    config = TrainConfig(dir=root, teacher=(str(teacher),), device="cpu", num_of_workers=1)
    spec = ModelSpec("unet", "test_resnet", "multilabel", ("pits", "cracks"), decoder_channels=NARROW)
    judged = {"validation": list(cameras.images), "test": []}
    (note,) = ask_teachers(config, spec, cameras, [], judged, None).notes
    assert "1 of the 4 validation images may be copies" in note


def test_unlabelled_images_that_cannot_be_read_are_named(case, make_weights, tmp_path):
    _, ask = case
    (tmp_path / "more").mkdir()
    with pytest.raises(InputError, match=r"-unlabelled .*more: no images there"):
        ask(make_weights(), unlabelled=tmp_path / "more")
    (tmp_path / "more/bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"bad\.png: .*; remove it from -unlabelled"):
        ask(make_weights(), unlabelled=tmp_path / "more")


@pytest.fixture
def more(tmp_path):
    """Two images without labels; a network that looks at the bright one answers alike to all views."""
    folder = tmp_path / "more"
    folder.mkdir()
    random = np.random.default_rng(3)
    for name in ("bright.png", "dark.png"):
        pixels = random.integers(0, 90, (60, 90, 3), dtype=np.uint8) + (160 if name == "bright.png" else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return folder


class Views:
    """Stands in for a pipeline: what it says of the dark image depends on the half of the views that it has."""

    def __init__(self, chosen, labels):
        self.half, self.labels, self.gates = chosen.tta, labels, True
        self.system = SimpleNamespace(task="multilabel")

    def run(self, paths, finish, folder=None):
        for path in paths:
            logits = np.full((2, *cv2.imread(str(path)).shape[:2]), -9, np.float32)
            logits[0, 10:40, 10:50] = 9
            if path.name == "dark.png" and self.half.endswith("mirrored"):
                logits = np.roll(logits, 15, axis=1)
            elif path.name == "bright.png" and self.half.endswith("mirrored"):
                logits[0, 10:40, 50:52] = 9
            labels = None if self.labels is None else np.array([self.labels], np.float32)
            yield path, finish(path, SimpleNamespace(logits=logits, labels=labels, masks=logits > 0))


def test_images_on_which_both_halves_of_the_views_agree_are_accepted(case, make_weights, more, monkeypatch):
    _, ask = case
    opened = []

    def open_pipeline(chosen, *_, **__):
        opened.append((chosen.tta, Views(chosen, None)))
        return opened[-1][1]

    monkeypatch.setattr(teacher_answers, "open_pipeline", open_pipeline)
    teaching = ask(make_weights(), unlabelled=more)
    assert [Path(name).name for name in teaching.unlabelled] == ["bright.png"]
    assert [tta for tta, _ in opened] == ["none", "flips turned", "flips mirrored"]
    assert [pipeline.gates for _, pipeline in opened] == [True, False, False]
    (note,) = [note for note in teaching.notes if "accepted" in note]
    assert "1 of 2 images accepted; left out 1 where the masks of turned and mirrored views do not agree" in note
    assert f"{60 / 5400:.2%} of the pixels" in note
    levels = read_soft_mask(teaching.targets.files[teaching.unlabelled[0]], 60, 90)
    assert (levels[:, 10:40, 50:52] == NOT_COUNTED).all()
    assert int((levels == NOT_COUNTED).sum()) == 2 * 60
    # What is on the disk is not asked for again, and a looser limit takes more of it.
    count = len(opened)
    assert len(ask(make_weights(), unlabelled=more, least_agreement=0.2).unlabelled) == 2
    assert len(opened) == count
    with pytest.raises(InputError, match=r"-unlabelled .*: not one of 2 images is accepted"):
        ask(make_weights(), unlabelled=more, least_agreement=1)


def test_an_image_of_which_the_gate_says_otherwise_is_left_out(case, make_weights, more, monkeypatch):
    _, ask = case
    chosen_of = teachers.choose_weights
    monkeypatch.setattr(
        teachers, "choose_weights", lambda asked: dataclasses.replace(chosen_of(asked), label_thresholds=(0.5,))
    )
    says = [0.9]
    monkeypatch.setattr(teacher_answers, "open_pipeline", lambda chosen, *_, **__: Views(chosen, says[0]))
    assert [Path(name).name for name in ask(make_weights(), unlabelled=more).unlabelled] == ["bright.png"]
    says[0] = 0.1
    for file in (more.parent).rglob("teacher/*"):
        file.unlink()
    with pytest.raises(InputError, match="not one of 2 images is accepted"):
        ask(make_weights(), unlabelled=more)


def test_labelled_images_are_repeated_for_the_share_of_the_others(case, make_weights, more, monkeypatch):
    _, ask = case
    monkeypatch.setattr(teacher_answers, "open_pipeline", lambda chosen, *_, **__: Views(chosen, None))
    teaching = ask(make_weights(), unlabelled=more, accept="all", unlabelled_share=0.1)
    assert any("each labelled image comes 3 times an epoch; images without labels are 10%" in n for n in teaching.notes)
