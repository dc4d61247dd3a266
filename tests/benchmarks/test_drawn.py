"""benchmarks/active_learning.py and pseudo_labels.py: equal steps, the right images, paired gains."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks import active_learning, pseudo_labels
from utils.data.dataset_folder import open_dataset
from utils.data.splits import write_split
from utils.errors import InputError
from utils.scoring.choice import about_choice
from utils.training.flags import settle


class Stage:
    """Stands in for training, choosing and scoring: notes what is asked; some rows are better than others."""

    def __init__(self, better) -> None:
        self.better = better
        self.trained, self.chosen = [], []

    def train(self, config):
        config = settle(config)
        self.trained.append(config)
        config.out.mkdir(parents=True)
        if config.unlabelled is not None:
            names = sorted(path.name for path in config.unlabelled.iterdir())
            names = names[: 2 if config.accept == "agreed" else None]
            (config.out / "teacher.json").write_text(json.dumps({"teachers": [], "unlabelled": names}))
        return SimpleNamespace(seconds=60.0)

    def score(self, config):
        dice = 0.8 + self.better.get(config.weights_dir.name.rsplit("-", 1)[0], 0)
        config.out.mkdir(parents=True)
        rows = [(name, c, 1, 0, dice) for name in open_dataset(config.dir).images for c in (1, 2)]
        pd.DataFrame(rows, columns=["image", "class_id", "tp", "fn", "dice"]).to_csv(config.out / "scores.csv")
        return SimpleNamespace(scores=SimpleNamespace(mean_dice=dice, defect_dice=dice))

    def choose(self, config):
        self.chosen.append(config)
        names = sorted(path.name for path in config.images.iterdir())
        config.out.mkdir()
        parts = [(kind, name) for kind, part in (("chosen", names[:3]), ("random", names[3:6])) for name in part]
        pd.DataFrame(parts, columns=["list", "image"]).to_csv(config.out / "select.csv", index=False)


@pytest.fixture
def words(make_dataset, tmp_path):
    data = make_dataset(count=14)
    names = open_dataset(data).images
    sides = ["valid" if number < 4 else "train" for number in range(14)]
    write_split(pd.DataFrame({"image": names, "side": sides, "group": range(14)}), tmp_path / "s.csv")
    given = f"-dir {data} -split {tmp_path / 's.csv'} -runs {tmp_path / 'runs'} -out {tmp_path / 'out.csv'} -share 0.3"
    return [*given.split(), "-seeds", "1,2", "-epoch_images", "12", "-num_epochs", "8", "-resamples", "100"]


def test_the_choice_and_the_draw_are_learnt_beside_the_first_labels(words, tmp_path):
    stage = Stage({"chosen": 0.02, "random": 0.01})
    active_learning.main(words, stage.train, stage.score, stage.choose)
    by_name = {config.out.name: config for config in stage.trained}
    assert list(by_name) == [f"{row}-{seed}" for seed in (1, 2) for row in ("first", "random", "chosen")]
    pictures = {
        name: {image[2:] for image in open_dataset(config.dir).images if not image.startswith("valid-")}
        for name, config in by_name.items()
    }
    assert [len(pictures[f"{row}-1"]) for row in ("first", "random", "chosen")] == [3, 6, 6]
    assert pictures["first-1"] == pictures["random-1"] & pictures["chosen-1"]
    counts = {len([n for n in open_dataset(c.dir).images if not n.startswith("valid-")]) for c in by_name.values()}
    assert counts == {12}, "all take as many steps"
    chosen = stage.chosen[0]
    assert set(open_dataset(chosen.dir).images) == pictures["first-1"]
    assert (chosen.num_of_images, chosen.weights_dir) == (3, tmp_path / "runs" / "first-1")
    assert not pictures["first-1"] & {path.name for path in chosen.images.iterdir()}
    said = (tmp_path / "out.md").read_text()
    assert "+0.0100 (+0.0100 to +0.0100) mean Dice" in said
    docs, measured = tmp_path / "loop.md", tmp_path / "choice.csv"
    docs.write_text(f"a\n{active_learning.BEGIN}\nold\n{active_learning.END}\nb\n")
    config = active_learning.parse(active_learning.ActiveConfig, words, "x", "y")
    drawn = active_learning.Pictures(config, config.runs)
    active_learning.publish(drawn, active_learning.read_rows(tmp_path / "out.csv"), docs, measured)
    assert docs.read_text().split("\n")[2].startswith("Measured on ")
    assert "label the chosen list" in " ".join(docs.read_text().split())
    assert "old" not in docs.read_text()
    assert about_choice(measured)[0]


def test_students_take_as_many_steps_and_learn_what_was_accepted(words, tmp_path):
    stage = Stage({"agreed": 0.02, "all": -0.01})
    pseudo_labels.main(words, stage.train, stage.score)
    by_name = {config.out.name: config for config in stage.trained}
    assert list(by_name) == [f"{row}-{seed}" for seed in (1, 2) for row in ("labels", "all", "agreed")]
    student = by_name["agreed-1"]
    assert (student.accept, student.unlabelled_share, student.teacher_weight) == ("agreed", 0.5, 0.0)
    assert student.teacher == (str(tmp_path / "runs" / "labels-1"),)
    assert by_name["labels-1"].num_epochs == 8
    assert student.num_epochs == 5, "12 labelled images and 7 others an epoch"
    assert len(list(student.unlabelled.iterdir())) == 7
    said = (tmp_path / "out.md").read_text()
    assert "| and those accepted | 0.8200 | +0.0200 (+0.0200 to +0.0200) |" in said
    assert "29% of 7" in said
    pseudo_labels.main(words, stage.train, stage.score)
    assert len(stage.trained) == 6, "all rows are there"


def test_wrong_flags_are_named(words):
    with pytest.raises(InputError, match="choose from"):
        pseudo_labels.main([*words, "-rows", "x"])
    with pytest.raises(InputError, match="whole numbers"):
        active_learning.main([*words, "-seeds", "a"])
    with pytest.raises(InputError, match="bring more"):
        active_learning.main([*words, "-share", "0.01"])
