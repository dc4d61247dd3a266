"""benchmarks/suspects.py: what is spoilt, and how the head of the table is counted."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import suspects
from utils.data.dataset_folder import open_dataset
from utils.data.splits import write_split
from utils.errors import InputError
from utils.training.flags import settle


@pytest.fixture
def words(make_dataset, tmp_path):
    data = make_dataset(count=12)
    names = open_dataset(data).images
    sides = ["valid" if number < 2 else "train" for number in range(12)]
    write_split(pd.DataFrame({"image": names, "side": sides, "group": range(12)}), tmp_path / "s.csv")
    given = f"-dir {data} -split {tmp_path / 's.csv'} -runs {tmp_path / 'runs'} -out {tmp_path / 'out.csv'}"
    return [*given.split(), "-share", "0.5", "-first", "2", "-shift", "3"]


def test_spoilt_masks_are_found_by_who_knows_them(words, tmp_path):
    trained, asked = [], []

    def train(config):
        trained.append(settle(config))
        return SimpleNamespace(seconds=60.0)

    def find(config):
        asked.append(config)
        known = pd.read_csv(tmp_path / "runs/spoilt.csv")["image"].tolist()
        others = [name for name in open_dataset(config.dir).images if name not in known]
        (config.out / "to_review").mkdir(parents=True)  # as the command, which refuses one that is there
        head = known if config.copies else [others[0], *known]
        pd.DataFrame({"image": [*head, *others]}).to_csv(config.out / "suspects.csv", index=False)

    suspects.main(words, train, find)
    assert (trained[0].folds, trained[0].oof, trained[0].dir) == (2, "probabilities", tmp_path / "runs/data")
    assert [config.copies for config in asked] == [False, True]
    rows = pd.read_csv(tmp_path / "out.csv").set_index("way")
    assert rows["precision"].to_dict() == {"networks": 0.5, "networks and copies": 1.0}
    faults = pd.read_csv(tmp_path / "runs/spoilt.csv").set_index("image")["fault"]
    before = open_dataset(tmp_path / "runs/data").annotations
    assert set(faults) <= {"dropped", "swapped", "shifted"}
    original = open_dataset(trained[0].dir).annotations
    assert all(not original.runs(name) for name in faults.index[faults == "dropped"])
    assert "| networks and copies | 1.00 |" in (tmp_path / "out.md").read_text()
    # The same data again: nothing is drawn or spoilt a second time.
    suspects.main(words, train, find)
    assert open_dataset(tmp_path / "runs/data").annotations.rows.equals(before.rows)


def test_faults_are_what_they_are_called(words, tmp_path):
    config = suspects.parse(suspects.SuspectsConfig, words, "x", "y")
    dataset = open_dataset(config.dir)
    rows, faults = suspects.spoil(config, dataset, dataset.images)
    shown = rows.groupby("image")["class_id"].apply(set).to_dict()
    for name in dataset.images:
        runs = dataset.annotations.runs(name)
        now = dict(rows.loc[rows["image"] == name, ["class_id", "rle"]].values.tolist())
        fault = faults.get(name)
        if fault is None:
            assert now == runs
        elif fault == "swapped":
            assert sorted(now.values()) == sorted(runs.values())
            assert shown[name] != set(runs) or len(runs) > 1
        elif fault == "dropped":
            assert runs
            assert not now
        else:
            assert now != runs
    assert np.isclose(len(faults), 0.5 * sum(bool(dataset.annotations.runs(name)) for name in dataset.images), atol=1)


def test_wrong_flags_are_named(words):
    with pytest.raises(InputError, match="choose from"):
        suspects.main([*words, "-ways", "x"])
