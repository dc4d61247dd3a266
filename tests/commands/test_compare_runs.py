"""Evaluate.py -compare on small images and random networks."""

import csv
import json
import shutil
from pathlib import Path

import pytest

import Evaluate
from config import EvaluateConfig
from utils.commands.compare_runs import short_names
from utils.commands.evaluate import evaluate
from utils.errors import InputError
from utils.weights.finding import find

pytestmark = pytest.mark.usefixtures("no_drawing")

SETTINGS = {"device": "cpu", "backend": "torch", "threads": 1, "resamples": 50}


@pytest.fixture
def runs(make_weights, tmp_path) -> tuple[Path, Path]:
    """Two run folders of one split, in which the last two of 12 images are copies; the second knows the classes turned."""
    rows = [f"{number:03d}.png,valid,{min(number, 10)}" for number in range(12)]
    folders = tmp_path / "one", tmp_path / "two"
    shutil.copytree(make_weights(), folders[0])
    shutil.copytree(make_weights(class_names=("cracks", "pits"), input_size=(32, 64)), folders[1])
    for folder in folders:
        (folder / "split.csv").write_text("\n".join(["image,side,group", *rows]) + "\n")
    return folders


def table(path: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return {(row["score"], row["name"], row["run"]): row for row in csv.DictReader(file)}


def test_scores_are_those_of_each_network_alone_and_differences_are_paired(make_dataset, runs, tmp_path, capsys):
    data, out = make_dataset(count=12), tmp_path / "out"
    words = f"-dir {data} -compare {runs[0]},{runs[1]} -out {out} -resamples 50 -device cpu -backend torch -threads 1"
    assert Evaluate.main(words.split()) == 0
    printed = capsys.readouterr().out
    assert "12 images, validation side of" in printed
    assert "11 groups of copies" in printed
    assert "mean Dice: two is " in printed
    assert sorted(path.name for path in out.iterdir()) == ["compare.csv", "compare.html", "compare.json"]
    rows = table(out / "compare.csv")
    for run in runs:
        alone = evaluate(EvaluateConfig(dir=data, weights_dir=run, out=tmp_path / "alone", examples=0, **SETTINGS))
        assert float(rows["mean_dice", "together", str(run)]["value"]) == pytest.approx(alone.scores.mean_dice)
        for name in ("pits", "cracks"):
            wanted = alone.scores.classes[name].defect_dice
            assert float(rows["defect_dice", name, str(run)]["value"]) == pytest.approx(wanted)
    first, second = (rows["mean_dice", "together", str(run)] for run in runs)
    assert first["difference"] == ""
    assert float(second["difference"]) == pytest.approx(float(second["value"]) - float(first["value"]))
    assert float(second["low"]) <= float(second["difference"]) <= float(second["high"])
    about = json.loads((out / "compare.json").read_text())
    assert (about["images"], about["groups"], about["resamples"], about["skipped"]) == (12, 11, 50, [])
    assert "has no hashes of its training images" in " ".join(about["notes"])


def test_an_image_that_cannot_be_read_is_left_out_for_all_and_named(make_dataset, runs, tmp_path):
    data = make_dataset(count=12)
    (data / "train_images/004.png").write_bytes(b"")
    config = EvaluateConfig(dir=data, compare=(str(runs[0]), str(find(runs[0]))), out=tmp_path / "out", **SETTINGS)
    result = evaluate(config)
    assert (result.comparison.images, len(result.skipped)) == (11, 1)
    about = json.loads((tmp_path / "out/compare.json").read_text())
    assert [one["image"] for one in about["skipped"]] == ["004.png"]
    assert "1 image left out for all" in result.text()
    assert all(row.differences[0].value == 0 for row in result.comparison.rows if row.differences[0])
    words = f"-dir {data} -compare {runs[0]},{runs[0]} -out {tmp_path / 'out'} -resamples 0 -device cpu -backend torch"
    assert Evaluate.main(words.split()) == 3


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        (("runs/a", "weights/unet-x-1234abcd.pth", "s/all.system.json"), ("a", "unet-x", "all")),
        (("old/a", "new/a", "b/"), ("old/a", "new/a", "b")),
        ((".", "a"), (".", "a")),
    ],
)
def test_runs_have_short_names_where_these_differ(runs, names):
    assert short_names(runs) == names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-compare {one}", "-compare .*one: name two networks or more, as in -compare runs/first,runs/second"),
        ("-compare {one},{two} -weights_dir {one}", "-weights_dir: -compare names the networks; leave it out"),
        ("-compare {one},{two} -calibrate", "-calibrate: -compare changes no weights; leave it out"),
        ("-compare {one},{two} -appearance", "-appearance: -compare changes no weights; leave it out"),
        ("-compare {one},{other}", "-compare: .*one draws pits, cracks, .* draws a, b; only networks with the same classes"),
        ("-compare {one},{gone}", "-weights_dir .*gone: no such file or folder"),
        ("-compare {one},{learnt}", r"-split valid: .*learnt/split\.csv has 1 of these 12 images on its train side"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_line_and_writes_nothing(
    make_dataset, make_weights, runs, tmp_path, words, message
):
    learnt = shutil.copytree(runs[1], tmp_path / "learnt")
    sides = (learnt / "split.csv").read_text().replace("003.png,valid", "003.png,train")
    (learnt / "split.csv").write_text(sides)
    places = {"one": runs[0], "two": runs[1], "learnt": learnt, "gone": tmp_path / "gone"}
    given = words.format(**places, other=make_weights(class_names=("a", "b")))
    with pytest.raises(InputError, match=message) as error:
        Evaluate.main(f"-dir {make_dataset(count=12)} -out {tmp_path / 'out'} {given}".split())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
