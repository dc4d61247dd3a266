"""benchmarks/lifts.py: one change a row, pairs by seed and image, intervals over scenes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import lifts
from config import EvaluateConfig, TrainConfig
from utils.data.dataset_folder import open_dataset
from utils.data.splits import write_split
from utils.errors import InputError
from utils.training.flags import settle


class Stage:
    """Stands in for training and scoring: notes what is asked, and gives the ensemble a better Dice."""

    def __init__(self) -> None:
        self.trained: list[TrainConfig] = []
        self.scored: list[EvaluateConfig] = []

    def train(self, config: TrainConfig) -> SimpleNamespace:
        self.trained.append(settle(config))
        return SimpleNamespace(seconds=60.0)

    def score(self, config: EvaluateConfig) -> SimpleNamespace:
        self.scored.append(config)
        dice = 0.9 if "," in str(config.weights_dir) else 0.8
        config.out.mkdir(parents=True)
        rows = [(name, c, 1, 0, dice) for name in open_dataset(config.dir).images for c in (1, 2)]
        pd.DataFrame(rows, columns=["image", "class_id", "tp", "fn", "dice"]).to_csv(config.out / "scores.csv")
        return SimpleNamespace(scores=SimpleNamespace(mean_dice=dice, defect_dice=dice))


@pytest.fixture
def words(make_dataset, tmp_path) -> list[str]:
    data = make_dataset(count=8)
    names = open_dataset(data).images
    sides = ["valid" if number < 4 else "train" for number in range(8)]
    write_split(pd.DataFrame({"image": names, "side": sides, "group": [0, 0, 1, 2, *range(3, 7)]}), tmp_path / "s.csv")
    given = f"-dir {data} -split {tmp_path / 's.csv'} -runs {tmp_path / 'runs'} -out {tmp_path / 'out.csv'}"
    return [*given.split(), "-seeds", "1,2", "-num_epochs", "6"]


def test_rows_change_what_they_say_and_are_scored_on_the_same_images(words, tmp_path):
    stage = Stage()
    lifts.main(words, stage.train, stage.score)
    by_name = {config.out.name: config for config in stage.trained}
    assert list(by_name) == [f"{row}-{seed}" for seed in (1, 2) for row in ("base", "swa", "folds", "teacher")]
    base = by_name["base-1"]
    assert (base.swa, base.folds, base.teacher, base.schedule, base.seed) == (0, None, None, "onecycle", 1)
    assert (by_name["swa-1"].swa, by_name["swa-1"].schedule) == (2, "constant")
    assert by_name["folds-2"].folds == 3
    assert by_name["teacher-2"].teacher == (str(tmp_path / "runs" / "folds-2"),)
    assert str(stage.scored[-1].weights_dir) == f"{tmp_path / 'runs/base-1'},{tmp_path / 'runs/base-2'}"
    assert {(config.dir, config.split) for config in stage.scored} == {(tmp_path / "runs" / "valid", "all")}
    assert len(open_dataset(tmp_path / "runs" / "valid").images) == 4
    said = (tmp_path / "out.md").read_text()
    assert "| mean of the baselines of all seeds | 0.9000 | +0.1000 (+0.1000 to +0.1000) |" in said
    assert "4 validation\nimages of 3 scenes" in said
    lifts.main(words, stage.train, stage.score)
    assert len(stage.scored) == 9, "all rows are there"


def test_a_gain_in_one_scene_cannot_be_told():
    base = np.full((2, 40, 1), 0.5)
    known = np.ones((40, 1), bool)
    groups = [0] * 20 + list(range(1, 21))
    one_scene, everywhere = base.copy(), base + 0.01
    one_scene[:, :20] += 0.1
    low, high = lifts.gain(base, one_scene, known, groups, 500)["mean_dice"][1:]
    assert low <= 0 < high
    assert lifts.gain(base, everywhere, known, groups, 500)["defect_dice"] == pytest.approx((0.01, 0.01, 0.01))
    # Seeds that disagree widen the interval.
    apart = base.copy()
    apart[0] += 0.1
    apart[1] -= 0.08
    value, low, high = lifts.gain(base, apart, known, groups, 500)["mean_dice"]
    assert (value, low, high) == pytest.approx((0.01, -0.08, 0.1))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("-rows teacher", "add it"),
        ("-rows x", "choose from"),
        ("-seeds 1 -rows ensemble", "two -seeds"),
        ("-seeds a", "whole numbers"),
    ],
)
def test_wrong_flags_are_named(words, flags, message):
    with pytest.raises(InputError, match=message):
        lifts.main([*words, *flags.split()], Stage().train, Stage().score)
