"""benchmarks/few_labels.py: which pictures are labelled, who teaches whom, and that rows are trained once."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import few_labels
from config import TrainConfig
from utils.commands.train_network import TrainResult
from utils.data.annotations import open_dataset
from utils.data.splits import read_split, write_split
from utils.errors import InputError
from utils.training.flags import settle


class Trainer:
    """Stands in for training: notes the settings, and scores more for more labels."""

    def __init__(self) -> None:
        self.asked: list[TrainConfig] = []

    def __call__(self, config: TrainConfig) -> TrainResult:
        self.asked.append(settle(config))
        assert config.out
        scores = {"mean_dice": 0.7, "defect_dice": 0.1 * len(self.asked), "empty_baseline": 0.5, "images": 4}
        return TrainResult(config.out, config.out / "x.pth", 1, 1, scores, 60.0, True)


@pytest.fixture
def words(make_dataset, tmp_path) -> list[str]:
    """Twelve pictures to train on, the last two copies of one another, and four to validate on."""
    data = make_dataset(count=16)
    names = open_dataset(data).images
    sides = ["valid" if number < 4 else "train" for number in range(16)]
    frame = pd.DataFrame({"image": names, "side": sides, "group": [*range(15), 14]})
    write_split(frame, tmp_path / "given.csv")
    given = f"-dir {data} -split {tmp_path / 'given.csv'} -runs {tmp_path / 'runs'} -out {tmp_path / 'out.csv'}"
    return [
        *given.split(),
        *["-sizes", "8,3", "-draws", "2", "-epoch_images", "6", "-crop", "32,32", "-num_epochs", "1"],
    ]


def labelled(config: TrainConfig) -> set[str]:
    frame = read_split(config.split)
    return {name.partition("-")[2] for name in frame.loc[frame["side"] == "train", "image"]}


def test_each_draw_is_trained_on_and_teaches_the_rest(words, tmp_path):
    trainer = Trainer()
    few_labels.main([*words, "-weights", "other.pth"], trainer)
    assert len(trainer.asked) == 2 * 2 * 2 * 2
    plain, taught = (config for config in trainer.asked[:2])
    assert (plain.encoder_weights, plain.teacher, plain.optimizer) == ("none", None, "muon")
    assert taught.teacher == (str(plain.out),)
    assert {config.encoder_weights for config in trainer.asked} == {"none", "other.pth"}
    chosen = labelled(plain)
    assert len(chosen) == 3
    dataset = open_dataset(plain.dir)
    assert len(dataset.images) == 3 * 2 + 4, "repeated twice, beside the validation images"
    assert all(dataset.path(name).resolve().name == name.partition("-")[2] for name in dataset.images)
    rest = {path.name for path in Path(taught.unlabelled).iterdir()}
    assert (len(rest), rest & chosen) == (8, set()), "one image of each other picture"
    by_size = {(len(labelled(config)), config.seed): labelled(config) for config in trainer.asked}
    assert set(by_size) == {(3, 1), (3, 2), (8, 1), (8, 2)}
    assert by_size[3, 1] < by_size[8, 1]
    assert by_size[3, 1] != by_size[3, 2]
    source = open_dataset(Path(words[1])).annotations
    assert all(dataset.annotations.runs(name) == source.runs(name.partition("-")[2]) for name in dataset.images)

    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["start"] for row in rows[:4]] == ["random", "random, taught", "weights", "weights, taught"]
    assert (tmp_path / "out.png").stat().st_size > 1000
    assert "| 3 | random | 0.7000 | 0.7000 to 0.7000 | 0.3000 | 2 |" in (tmp_path / "out.md").read_text()
    few_labels.main([*words, "-weights", "other.pth"], trainer)
    assert len(trainer.asked) == 16, "all rows are there"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [("12", "has 11 pictures on side train; take fewer"), ("x", "-sizes x: expected"), ("1", "-sizes 1")],
)
def test_wrong_sizes_are_named(words, sizes, message):
    with pytest.raises(InputError, match=message):
        few_labels.main([*words, "-sizes", sizes], Trainer())
