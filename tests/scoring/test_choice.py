"""Which images to label next: uncertain, unlike what is labelled, unlike each other."""

import numpy as np
import pytest

from utils.scoring.choice import about_choice, choose


@pytest.fixture
def features():
    """Three kinds of images, ten of each."""
    random = np.random.default_rng(0)
    kinds = np.repeat(np.eye(3, 8), 10, axis=0) + random.normal(0, 0.02, (30, 8))
    return (kinds / np.linalg.norm(kinds, axis=1, keepdims=True)).astype(np.float32)


def test_one_of_each_kind_and_of_it_the_most_uncertain(features):
    uncertainty = np.linspace(0.1, 1, 30)
    chosen = choose(uncertainty, features, features[:0], 3, seed=1)
    assert sorted(chosen.places) == [9, 19, 29]
    assert list(chosen.places) == [29, 19, 9], "what is worth most first"
    assert np.bincount(chosen.kind).tolist() == [10, 10, 10]


def test_what_is_labelled_is_worth_less(features):
    chosen = choose(np.ones(30), features, features[:10], 30, seed=1)
    assert chosen.distance[:10].max() < 0.5 * chosen.distance[10:].min()
    assert set(chosen.places[-10:]) == set(range(10))
    assert sorted(chosen.places) == list(range(30))


@pytest.mark.filterwarnings("error")
def test_equal_images_and_a_network_without_doubts():
    chosen = choose(np.zeros(6), np.ones((6, 4), np.float32) / 2, np.ones((2, 4), np.float32) / 2, 4, seed=1)
    assert len(set(chosen.places)) == 4


def test_random_list_is_named_where_the_choice_is_not_surely_better(tmp_path):
    csv = tmp_path / "choice.csv"
    better, said = about_choice(csv)
    assert (better, "not measured" in said) == (False, True)
    for gain, low, better in (("0.0080", "0.0010", True), ("0.0080", "-0.0010", False), ("0.0040", "0.0010", False)):
        csv.write_text(f"gain,low,high,dataset,seeds\n{gain},{low},0.0150,neu,5\n")
        found, said = about_choice(csv)
        assert found == better
        assert f"{float(gain):.3f} mean Dice more than with a random draw" in said
        assert said.endswith("label the chosen list" if better else "label the random list")
