"""What a card says about how a network was trained."""

from pathlib import Path
from typing import Any

import pytest

from config import TrainConfig
from utils.settings import to_plain
from utils.weights.lineage import Training, commands, without_places


def provenance(data: str = "same", **more: Any) -> dict[str, Any]:
    settings = {"encoder": "resnet18", "encoder_weights": "none", "recipe": "one-cycle", **more.pop("settings", {})}
    return {"config": {**settings}, "data_fingerprint": data, **more}


ONE = "python Train.py -dir DATA -recipe one-cycle -encoder resnet18 -encoder_weights none"


def test_one_run_is_one_command():
    assert commands(provenance(settings={"num_epochs": 9})) == (f"{ONE} -num_epochs 9",)


def test_defaults_of_the_recipe_are_left_out():
    settings = to_plain(TrainConfig(encoder="resnet18", recipe="balanced-1000"))
    assert commands({"config": settings}) == ("python Train.py -dir DATA -recipe balanced-1000 -encoder resnet18",)


def test_runs_that_went_on_from_each_other_are_a_command_each():
    first = provenance(settings={"num_epochs": 11}, flag="encoder_weights")
    chosen = {"valid_fraction": 0.1, "subset": "balanced", "per_class": 9}  # which the split of the first run has done
    second = provenance(
        settings={"encoder_weights": "/home/me/a.pth", **chosen}, flag="init_encoder", started_from=first
    )
    third = provenance("other", settings={"valid_fraction": 0.1}, started_from=second)
    assert commands(third) == (
        f"{ONE} -num_epochs 11 -out runs/1",
        "python Train.py -dir DATA -recipe one-cycle -encoder resnet18 -out runs/2 -encoder_weights runs/1/*.pth"
        " -split runs/1/split.csv",
        f"{ONE} -valid_fraction 0.1 -out runs/3 -init_encoder runs/2/*.pth",  # other data, so a split of its own
    )


@pytest.mark.parametrize(
    ("spent", "before"),
    [({"epochs": 3, "seconds": 60.0}, (3, 60.0)), ({}, None)],
)
def test_time_of_earlier_runs_is_told_where_it_is_known(tmp_path, spent, before):
    known = provenance(started_from=provenance(flag="encoder_weights", **spent))
    assert Training.of(tmp_path, known).before == before
    assert Training.of(tmp_path, provenance()).before == (0, 0)


def test_the_file_that_the_first_encoder_came_from(tmp_path):
    file = {"file": "lite.pth", "sha256": "0123"}
    assert (
        Training.of(
            tmp_path, provenance(started_from=provenance(flag="encoder_weights", encoder_file=file))
        ).encoder_file
        == file
    )
    assert Training.of(tmp_path, provenance()).encoder_file is None


def test_folders_of_every_run_stay_private():
    first = provenance(settings={"encoder_weights": "/home/me/start.pth"})
    cleaned = without_places(provenance(settings={"init_encoder": "/home/me/e.pth"}, started_from=first))
    assert cleaned["config"]["init_encoder"] == "e.pth"
    assert cleaned["started_from"]["config"]["encoder_weights"] == "start.pth"


def test_folders_of_teachers_stay_private():
    settings = to_plain(
        TrainConfig(teacher=("/home/me/runs/folds", "/home/me/b.pth"), unlabelled=Path("/home/me/more"))
    )
    cleaned = without_places(provenance(settings=settings))
    assert (cleaned["config"]["teacher"], cleaned["config"]["unlabelled"]) == ("folds,b.pth", "more")
    assert "-teacher folds,b.pth -unlabelled more" in commands(cleaned)[0]
