"""The threshold lets about the share of clean images through that was asked for, also where few were scored."""

import numpy as np
import pytest

from utils.training.alarm_threshold import alarm_threshold, expected_alarms, images_for


def gumbel(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw largest values of many places, which is what scores of images are."""
    return rng.gumbel(10, 1.5, count)


@pytest.mark.parametrize(("count", "share"), [(500, 0.01), (500, 0.05), (100, 0.01), (200, 0.3)])
def test_false_alarms_are_about_what_was_asked(count, share):
    rng = np.random.default_rng(1)
    unseen = gumbel(rng, 200_000)
    rates = [(unseen > alarm_threshold(gumbel(rng, count), share)).mean() for _ in range(200)]
    assert np.median(rates) == pytest.approx(share, rel=0.3)


def test_it_is_steadier_than_a_quantile():
    rng = np.random.default_rng(2)
    drawn = [gumbel(rng, 200) for _ in range(300)]
    for share in (0.05, 0.1):
        plain = np.std([np.quantile(one, 1 - share) for one in drawn])
        assert np.std([alarm_threshold(one, share) for one in drawn]) < plain


def test_nothing_is_supposed_of_how_the_scores_fall_off():
    rng = np.random.default_rng(6)

    def draw(count: int) -> np.ndarray:
        """Two looks of steel: beyond 10 no clean image scores at all."""
        return np.where(rng.random(count) < 0.3, rng.uniform(8, 10, count), rng.normal(5, 0.5, count))

    unseen = draw(200_000)
    for share in (0.01, 0.05, 0.1):
        rates = [(unseen > alarm_threshold(draw(400), share)).mean() for _ in range(200)]
        assert np.mean(rates) == pytest.approx(share, rel=0.25)


def test_a_smaller_share_never_lowers_it():
    scores = gumbel(np.random.default_rng(3), 50)
    thresholds = [alarm_threshold(scores, share) for share in (0.5, 0.2, 0.1, 0.01, 0.001)]
    assert thresholds == sorted(thresholds)


@pytest.mark.parametrize("scores", [[3.0], [3.0, 3.0, 3.0]])
def test_equal_scores_give_themselves(scores):
    assert alarm_threshold(np.array(scores), 0.01) == pytest.approx(3.0)


@pytest.mark.parametrize(("count", "share"), [(500, 0.05), (300, 0.01), (400, 0.3)])
def test_the_interval_holds_nineteen_times_in_twenty(count, share):
    rng = np.random.default_rng(4)
    unseen = np.sort(gumbel(rng, 200_000))
    low, high = expected_alarms(count, share)
    found = [1 - np.searchsorted(unseen, alarm_threshold(gumbel(rng, count), share)) / len(unseen) for _ in range(400)]
    assert low < share < high
    assert np.mean([low <= one <= high for one in found]) == pytest.approx(0.95, abs=0.04)


def test_as_many_images_as_are_said_bring_the_interval_to_what_was_asked():
    for share in (0.01, 0.05, 0.3):
        low, high = expected_alarms(images_for(share), share)
        assert high / share == pytest.approx(1.3, abs=0.06)
        assert low / share == pytest.approx(0.7, abs=0.06)
    assert images_for(0.01) > images_for(0.05) > images_for(0.3)
