"""benchmarks/recipes.py: fair rows, resumed row by row, and a table that tells gain from chance."""

import csv
from pathlib import Path

import pytest

from benchmarks import recipes
from config import TrainConfig
from utils.commands.train_network import TrainResult
from utils.data.splits import read_split
from utils.errors import InputError
from utils.training.flags import settle


class Trainer:
    """Stands in for training: notes the settings and answers with a score that the loss and the seed decide."""

    def __init__(self, fail_at: int = 99) -> None:
        self.asked: list[TrainConfig] = []
        self.fail_at = fail_at

    def __call__(self, config: TrainConfig) -> TrainResult:
        self.asked.append(config)
        folder = config.resume or config.out
        assert folder
        folder.mkdir(parents=True, exist_ok=True)
        if config.out:
            (folder / "config.yaml").write_text("")
            (folder / "split.csv").write_bytes(config.split.read_bytes())
        if len(self.asked) == self.fail_at:
            raise KeyboardInterrupt
        with open(folder / "history.csv", "w") as file:
            csv.writer(file).writerows([("train_seconds", "valid_seconds"), (60, 30)])
        dice = 0.8 + 0.01 * config.seed + (0.05 if config.loss == "focal" else 0)
        scores = {"mean_dice": dice, "empty_baseline": 0.5, "defect_dice": None, "iou": 0.4}
        return TrainResult(folder, folder / "x.pth", 1, 1, scores, 90.0, True)


@pytest.fixture
def words(make_dataset, tmp_path) -> list[str]:
    words = ["-dir", make_dataset(count=12), "-runs", tmp_path / "runs", "-out", tmp_path / "out.csv", "-num_epochs", 1]
    words += [
        "-valid_fraction",
        "0.34",
        "-image_size",
        "32,64",
        "-crop",
        "32,32",
        "-num_of_workers",
        0,
        "-per_class",
        2,
    ]
    return [str(word) for word in words]


def test_every_row_changes_what_it_says_on_the_same_images(words, tmp_path):
    trainer = Trainer()
    recipes.main(words, trainer)
    base, *others = trainer.asked
    assert (base.lr_encoder, base.lr_decoder, base.loss, base.image_size) == (1e-3, 1e-2, "dice_bce", (32, 64))
    assert (
        len({config.out for config in trainer.asked})
        == len(trainer.asked)
        == len(recipes.proposals(recipes.RecipesConfig(dir=Path())))
    )
    names = {Path(str(config.out)).name.rsplit("-", 2)[0]: config for config in others}
    assert names["EMA"].ema == 0.995
    assert names["twice_as_long"].num_epochs == 2
    assert names["crops_of_32x32"].crop == (32, 32)
    assert names["one-cycle"].optimizer == "adamw"
    assert names["one-cycle"].num_epochs == names["muon"].num_epochs == 1
    assert (names["muon"].optimizer, names["muon"].batch_size) == ("muon", 16)
    balanced, whole = read_split(base.split), read_split(names["all_images"].split)
    assert set(balanced.loc[balanced["side"] == "valid", "image"]) == set(whole.loc[whole["side"] == "valid", "image"])
    assert len(balanced) < len(whole) == 12
    for config in trainer.asked:
        settle(config)  # refuses what no training would begin with


def test_a_finished_row_is_not_trained_again_and_a_broken_one_goes_on(words, tmp_path):
    words += ["-rows", "loss focal,EMA", "-seeds", "1,2"]
    broken = Trainer(fail_at=4)
    with pytest.raises(KeyboardInterrupt):
        recipes.main(words, broken)
    again = Trainer()
    recipes.main(words, again)
    assert [config.resume for config in again.asked] == [broken.asked[3].out, None, None]
    done = recipes.read_rows(tmp_path / "out.csv")
    assert [(row["row"], row["seed"]) for row in done] == [
        (name, seed) for name in ("balanced-1000", "loss focal", "EMA") for seed in "12"
    ]
    finished = Trainer()
    recipes.main(words, finished)
    assert finished.asked == []
    recipes.main([*words, "-num_epochs", "3"], finished)
    assert len(finished.asked) == 6, "another budget is another comparison"


def test_the_table_tells_gain_and_spread(words, tmp_path):
    recipes.main([*words, "-rows", "loss focal", "-seeds", "1,2"], Trainer())
    text = (tmp_path / "out.md").read_text()
    assert "| balanced-1000 | 0.8150 | 0.0100 |  | - | 0.4000 |" in text
    assert "| loss focal | 0.8650 | 0.0100 | +0.0500 | - | 0.4000 |" in text
    assert "unet resnet18 from none, data, " in text
    assert "may be chance" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-rows", "nothing"], "-rows nothing: no such row; choose from balanced-1000, "),
        (["-seeds", "1,x"], "-seeds x: expected whole numbers"),
    ],
)
def test_bad_flags_are_told_before_anything_is_written(words, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        recipes.main([*words, *more], Trainer())
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_two_rows_are_really_trained(words, tmp_path):
    recipes.main([*words, "-rows", "EMA", "-device", "cpu", "-threads", "1"])
    rows = recipes.read_rows(tmp_path / "out.csv")
    assert [row["row"] for row in rows] == ["balanced-1000", "EMA"]
    assert all(0 <= float(row["mean_dice"]) <= 1 for row in rows)
    assert {row["valid_images"] for row in rows} == {rows[0]["valid_images"]}
