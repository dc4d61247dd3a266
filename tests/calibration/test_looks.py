"""Evaluate.py -appearance: weights learn how images look, nothing else of them changes, and too few images change nothing."""

import shutil

import numpy as np
import pytest

from config import EvaluateConfig
from utils.commands.evaluate import evaluate
from utils.errors import InputError
from utils.weights.appearance import LEAST, plain, to_grey
from utils.weights.finding import find
from utils.weights.weights_file import load

pytestmark = pytest.mark.usefixtures("no_drawing")


@pytest.fixture
def run(make_weights, tmp_path):
    return shutil.copytree(make_weights(), tmp_path / "run")


def test_weights_learn_how_images_look_and_nothing_else_changes(make_dataset, run, tmp_path):
    from utils.data.dataset_folder import open_dataset

    root = make_dataset(count=LEAST + 2)
    before = load(find(run))
    assert before.appearance is None
    flags = {"dir": root, "weights_dir": run, "split": "all", "examples": 0}
    result = evaluate(EvaluateConfig(**flags, appearance=True, out=tmp_path / "out"))
    assert result.looked == find(run)  # beside no other one
    assert f"new weights file: {result.looked}; it knows how these images look" in result.text()
    after = load(find(run))
    assert after.decision == before.decision
    assert all(bool((value == before.state_dict[name]).all()) for name, value in after.state_dict.items())
    look = after.appearance
    assert look.count == LEAST + 2
    assert look.knows_answers
    dataset = open_dataset(root)
    seen = [plain(to_grey(dataset.read(name, 3))) for name in dataset.images]
    assert look.mean[:3] == pytest.approx(np.mean(seen, axis=0))
    assert look.sd[:3] == pytest.approx(np.std(seen, axis=0))
    again = evaluate(EvaluateConfig(**flags, out=tmp_path / "again"))
    assert again.scores == result.scores


def test_too_few_images_change_nothing(make_dataset, run, tmp_path):
    before = {path: path.read_bytes() for path in run.iterdir()}
    flags = {"dir": make_dataset(count=LEAST - 1), "weights_dir": run, "split": "all", "examples": 0}
    with pytest.raises(InputError, match="too few to tell others from"):
        evaluate(EvaluateConfig(**flags, appearance=True, out=tmp_path / "out"))
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert list((tmp_path / "out").rglob("*")) == []


def test_look_of_test_images_is_refused(make_dataset, run):
    with pytest.raises(InputError, match="images learnt from; use -split valid or all"):
        evaluate(EvaluateConfig(dir=make_dataset(count=2), weights_dir=run, split="test", appearance=True))
