"""benchmarks/few_labels.py: which pictures are labelled, who teaches whom, and that rows are trained once."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import few_labels
from config import TrainConfig
from utils.commands.train_network import TrainResult
from utils.data.dataset_folder import open_dataset
from utils.data.splits import read_split, write_split
from utils.errors import InputError
from utils.training.few_labels import PAGE, about_few
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
    """Twelve pictures to train on, and four to validate on, two of them of one scene."""
    data = make_dataset(count=16)
    names = open_dataset(data).images
    sides = ["valid" if number < 4 else "train" for number in range(16)]
    frame = pd.DataFrame({"image": names, "side": sides, "group": [0, 0, 1, 2, *range(3, 13), 13, 13]})
    write_split(frame, tmp_path / "given.csv")
    given = f"-dir {data} -split {tmp_path / 'given.csv'} -runs {tmp_path / 'runs'} -out {tmp_path / 'out.csv'}"
    return [
        *given.split(),
        *["-sizes", "8,3", "-draws", "2", "-epoch_images", "6", "-crop", "32,32", "-num_epochs", "6"],
    ]


def labelled(config: TrainConfig) -> set[str]:
    frame = read_split(config.split)
    return {name.partition("-")[2] for name in frame.loc[frame["side"] == "train", "image"]}


def test_each_draw_is_trained_on_in_every_way(words, tmp_path):
    trainer = Trainer()
    few_labels.main([*words, "-weights", "other.pth", "-unlabelled_images", "3"], trainer)
    assert len(trainer.asked) == 2 * 2 * 3
    plain, weights, taught = trainer.asked[:3]
    assert (plain.encoder_weights, plain.teacher, plain.optimizer) == ("none", None, "muon")
    assert (weights.encoder_weights, taught.encoder_weights) == ("other.pth", "other.pth")
    assert taught.teacher == (str(weights.out),)
    assert (plain.num_epochs, taught.num_epochs) == (6, 4), "6 labelled and 3 other images an epoch: as many steps"
    chosen = labelled(plain)
    assert len(chosen) == 3
    dataset = open_dataset(plain.dir)
    assert len(dataset.images) == 3 * 2 + 4, "repeated twice, beside the validation images"
    assert all(dataset.path(name).resolve().name == name.partition("-")[2] for name in dataset.images)
    rest = {path.name for path in Path(taught.unlabelled).iterdir()}
    assert (len(rest), rest & chosen) == (3, set())
    by_size = {(len(labelled(config)), config.seed): labelled(config) for config in trainer.asked}
    assert set(by_size) == {(3, 1), (3, 2), (8, 1), (8, 2)}
    assert by_size[3, 1] < by_size[8, 1]
    assert by_size[3, 1] != by_size[3, 2]
    source = open_dataset(Path(words[1])).annotations
    assert all(dataset.annotations.runs(name) == source.runs(name.partition("-")[2]) for name in dataset.images)

    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["start"] for row in rows[:3]] == ["random", "weights", "taught"]
    assert [row["weights"] for row in rows[:3]] == ["none", "other.pth", "other.pth"]
    assert (tmp_path / "out.png").stat().st_size > 1000
    assert "| 3 | random weights | 0.250 | 0.100 to 0.400 | 0.700 | 2 |" in (tmp_path / "out.md").read_text()
    few_labels.main([*words, "-weights", "other.pth"], trainer)
    assert len(trainer.asked) == 12, "all rows are there"


def test_without_other_weights_the_network_from_random_weights_teaches(words):
    trainer = Trainer()
    few_labels.main(words, trainer)
    assert trainer.asked[1].teacher == (str(trainer.asked[0].out),)
    assert {config.encoder_weights for config in trainer.asked} == {"none"}


def test_validation_images_are_spread_over_the_scenes():
    frame = pd.DataFrame({"image": [f"{n:02}.jpg" for n in range(12)], "group": [0] * 9 + [1, 1, 2]})
    group_of = dict(zip(frame["image"], frame["group"], strict=True))
    assert sorted(group_of[name] for name in few_labels.spread(frame, 5)) == [0, 0, 1, 1, 2]
    assert len(few_labels.spread(frame, 0)) == 12


def test_results_go_where_users_meet_them(tmp_path):
    rows = [
        {"start": way, "labelled": "50", "mean_dice": "0.8", "defect_dice": dice, "images": "9", "dataset": "neu"}
        for way, dice in (("random", "0.4"), ("random", "0.5"), ("weights", "0.6"))
    ]
    page, measured = tmp_path / "page.md", tmp_path / "few.csv"
    page.write_text(f"before\n{few_labels.BEGIN}\nold\n{few_labels.END}\nafter\n")
    few_labels.publish(rows, page, measured)
    said = page.read_text()
    assert "| 50 | 0.45 (0.40 to 0.50) | 0.60 (0.60 to 0.60) |" in said
    assert said.startswith("before")
    assert said.endswith("after\n")
    assert "old" not in said
    assert "on neu, 50 led to a defect-only Dice of 0.45 (0.40 to 0.50)" in about_few(30, False, measured)[0]
    page.write_text("no place")
    with pytest.raises(InputError, match="lacks"):
        few_labels.publish(rows, page, measured)


def test_the_page_has_a_place_for_the_results():
    page = few_labels.DOCS.read_text()
    assert page.count(few_labels.BEGIN) == page.count(few_labels.END) == 1
    assert f"## {PAGE.partition('#')[2].replace('-', ' ').capitalize()}" in page


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("-sizes 13", "has 12 pictures on side train; take fewer"),
        ("-sizes x", "-sizes x: expected"),
        ("-sizes 1", "-sizes 1"),
        ("-ways x", "choose from"),
        ("-ways taught", "needs the networks of random"),
    ],
)
def test_wrong_flags_are_named(words, flags, message):
    with pytest.raises(InputError, match=message):
        few_labels.main([*words, *flags.split()], Trainer())
