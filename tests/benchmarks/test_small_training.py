"""benchmarks/small_training.py: what the flags say stands over the recipe."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks.small_training import SmallTraining
from config import RECIPES, TrainConfig, flag
from utils.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(SmallTraining):
    min_area: int = flag("a flag of the benchmark itself", 7)
    resamples: int = flag("one that Train.py has not", 9)


def test_flags_stand_over_the_recipe_and_the_split_says_which_images():
    config = Own(dir=Path("data"), split=Path("split.csv"), batch_size=3)
    values = config.values("min_area")
    made = TrainConfig(dir=config.dir, split=config.split, **values)
    assert (made.batch_size, made.crop, made.min_area, made.recipe) == (3, (128, 128), 7, "muon")
    assert made.optimizer == RECIPES["muon"]["optimizer"]
    assert not {"dir", "split", "train_recipe", "resamples", "subset", "per_class"} & set(values)


def test_recipe_that_there_is_not_is_named():
    with pytest.raises(InputError, match=r"-train_recipe quick: choose from .*muon"):
        Own(dir=Path(), split=Path(), train_recipe="quick").check_recipe()
