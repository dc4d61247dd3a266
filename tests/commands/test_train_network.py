"""What a training says about itself before it begins."""

import pytest

from config import RECIPES, TrainConfig
from utils.commands.train_network import recipe_in_words


@pytest.mark.parametrize(
    ("recipe", "changes", "expected"),
    [
        ("balanced-1000", {}, "recipe balanced-1000"),
        ("balanced-1000", {"num_epochs": 3, "encoder": "resnet18"}, "recipe balanced-1000"),
        ("balanced-1000", {"subset": "all"}, "recipe balanced-1000 but for -subset"),
        ("muon", {"batch_size": 4, "lr_encoder": 1e-3}, "recipe muon but for -lr_encoder, -batch_size"),
        (
            "balanced-1000",
            RECIPES["one-cycle"],
            "recipe balanced-1000 but for -image_size, -subset, -augmentation, -optimizer, -lr_encoder and 2 more",
        ),
    ],
)
def test_the_recipe_is_named_with_what_differs_from_it(recipe, changes, expected):
    assert recipe_in_words(TrainConfig(**{**RECIPES[recipe], "recipe": recipe, **changes})) == expected
