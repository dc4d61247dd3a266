"""Counts and search against trying every setting through the real decision, on small random masks."""

import cv2
import numpy as np
import pytest
import torch

from tests.calibration.drawn import IMAGES, decided, draw, grid_of_areas, slow_dice, slow_objects, small_grid
from utils.calibration.counting import count_image, join
from utils.calibration.grid import HIGH_THRESHOLDS, limits_of, make_grid
from utils.calibration.search import choose, dice_at, fit, guarded, sum_up
from utils.calibration.solving import make_folds, solve
from utils.calibration.targets import curve, frontier, reach
from utils.decision.decision import ClassDecision
from utils.decision.masks import decide, levels


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_levels_say_what_the_decision_says(task):
    logits = draw(task, 0, 1)[0][0]
    logits[:, :4] = np.round(logits[:, :4])  # ties, and logits right on a threshold
    steps = np.array([0.05, 0.25, 1 / 3, 0.5, 0.75, 0.99])
    found = levels(logits, task, [steps, steps])
    for index, threshold in enumerate(steps):
        expected = decide(torch.from_numpy(logits)[None], task, [threshold] * 2)[0].numpy()
        np.testing.assert_array_equal(found > index, expected)


@pytest.mark.parametrize(
    ("task", "seed"),
    [
        ("multilabel", 1),
        pytest.param("multilabel", 2, marks=pytest.mark.slow),
        pytest.param("multiclass", 3, marks=pytest.mark.slow),
    ],
)
def test_every_setting_is_worth_what_the_real_decision_scores(task, seed):
    logits, truth = draw(task, seed)
    grid = small_grid()
    tables = join([count_image(*one, task, [grid, grid]) for one in zip(logits, truth, strict=True)])
    clean = np.array([not one.any() for one in truth])
    folds = np.arange(IMAGES) % 3
    sums = [sum_up(table, grid, folds, clean) for table in tables]
    dice = np.empty((len(grid.distance), IMAGES, 2))
    for cell in range(len(grid.distance)):
        setting = grid.setting(cell)
        dice[cell] = slow_dice(logits, truth, task, setting)
        found, alarms = slow_objects(logits, truth, task, setting)
        for c in range(2):
            expected = [dice[cell, folds == fold, c].sum() for fold in range(3)]
            np.testing.assert_allclose(sums[c].dice[:, cell], expected, atol=1e-12)
            assert sums[c].found[:, cell].sum() == found[c]
            assert sums[c].alarms[:, cell].sum() == alarms[c]
    for c in range(2):
        assert fit(sums[c], grid).in_sample == pytest.approx(dice[:, :, c].sum(axis=1).max(), abs=1e-12)
        cell = fit(sums[c], grid).cell
        np.testing.assert_allclose(dice_at(tables[c], grid, cell), dice[cell, :, c], atol=1e-12)
        by_hand = 0.0
        for fold in range(3):
            chosen = dice[:, folds != fold, c].sum(axis=1)
            best = np.flatnonzero(chosen >= chosen.max() - 1e-9)
            by_hand += dice[best[np.argmin(grid.distance[best])], folds == fold, c].sum()
        assert fit(sums[c], grid).cross_fitted == pytest.approx(by_hand, abs=1e-12)


def test_a_gate_that_turns_an_image_away_leaves_an_empty_prediction():
    logits, truth = draw("multilabel", 4)
    grid = small_grid()
    table = join([count_image(*one, "multilabel", [grid, grid]) for one in zip(logits, truth, strict=True)])[0]
    opened = np.arange(IMAGES) % 2 == 0
    shut = [one if free else np.full_like(one, -99) for one, free in zip(logits, opened, strict=True)]
    same = join([count_image(*one, "multilabel", [grid, grid]) for one in zip(shut, truth, strict=True)])[0]
    folds, clean = np.zeros(IMAGES, np.int64), np.array([not one.any() for one in truth])
    gated, expected = sum_up(table, grid, folds, clean, opened=opened), sum_up(same, grid, folds, clean)
    np.testing.assert_allclose(gated.dice, expected.dice)
    np.testing.assert_array_equal(gated.found, expected.found)
    np.testing.assert_array_equal(gated.alarms, expected.alarms)


def test_images_of_any_size_take_no_more_room_than_the_grid():
    noise = np.random.default_rng(0).normal(size=(1, 256, 400)).astype(np.float32) * 3
    grid = make_grid(ClassDecision(0.5), 5_000)
    (table,) = count_image(noise, noise > 1, "binary", [grid])
    assert len(table.bins) <= len(grid.thresholds) * len(grid.areas) * len(grid.peaks)
    assert table.bins["number"].sum() > 10_000


def calibrate(logits, truth, target=None, grid=None, groups=None, folds=5, seed=1):
    grid = grid or small_grid()
    tables = join([count_image(*one, "multilabel", [grid, grid]) for one in zip(logits, truth, strict=True)])
    groups = np.arange(len(logits)) if groups is None else groups
    return solve(["a", "b"], tables, [grid, grid], groups, folds=folds, seed=seed, target=target), tables, grid


def test_a_real_gain_is_taken_and_holds():
    logits, truth = draw("multilabel", 5, 40)
    logits = [one - 2 for one in logits]  # everything is too unlikely: a lower threshold is right for all images
    result, *_ = calibrate(logits, truth)
    assert result.changed
    assert result.before.mean_dice + 0.02 < result.cross_fitted.mean_dice <= result.in_sample.mean_dice
    setting = result.classes["a"].best
    expected = slow_dice(logits, truth, "multilabel", setting)[:, 0].mean()
    assert result.classes["a"].dice_in_sample == pytest.approx(expected, abs=1e-12)


def chance(seed: int, images: int, copies: int = 1, *, apart: bool = True):
    """Calibrate on eight blobs of different areas, of which the label is one by chance: no setting is the best.

    Each image is there some times; its copies are kept together, or not.
    """
    areas, only = np.arange(4, 13), np.arange(8)
    grid = grid_of_areas([0.5], areas, only, only + 1, ClassDecision(0.5, 4, 4))  # keep the blobs of a single area
    logits = np.full((1, 16, 26), -9, np.float32)
    for k in only:
        logits[0, 2 * k, : areas[k]] = 9
    truth = []
    for k in np.repeat(np.random.default_rng(seed).integers(0, 8, images), copies):
        truth.append(np.zeros((1, 16, 26), np.bool_))
        truth[-1][0, 2 * k, : areas[k]] = True
    tables = join([count_image(logits, one, "binary", [grid]) for one in truth])
    groups = np.arange(images).repeat(copies) if apart else np.arange(images * copies)
    # Free to choose any area: the guard would keep it from the choice that chance makes here.
    result = solve(["a"], tables, [grid], groups, folds=5, seed=seed, guard_areas=False)
    return result, result.classes["a"]


def test_a_gain_from_noise_is_in_sample_only():
    in_sample, cross_fitted, used = [], [], []
    for seed in range(12):
        result, one = chance(seed, 30)
        in_sample.append(one.dice_in_sample - one.dice_before)
        cross_fitted.append(one.dice_cross_fitted - one.dice_before)
        used.append(result.cross_fitted.mean_dice - result.before.mean_dice)
    assert np.mean(in_sample) > 0.05
    assert abs(np.mean(cross_fitted)) < 0.03
    assert abs(np.mean(used)) < 0.03


def small_and_large(every: int, guard_areas: bool = True):
    """Calibrate on 40 groups of images: squares of 8 pixels a side, each beside a false one of 4.

    In every so many groups the real ones have 4 pixels a side; a smallest area hides them with the false ones, and is worth
    more all the same.
    """
    grid = grid_of_areas([0.5], np.array([1, 17, 65]), np.arange(2), np.full(2, 3), ClassDecision(0.5))
    logits, truth = [], []
    for group in np.repeat(np.arange(40), 3):
        side = 4 if group % every == 0 else 8
        one, label = np.full((1, 32, 32), -9, np.float32), np.zeros((1, 32, 32), np.bool_)
        label[0, :side, :side] = True
        one[label] = 9
        if side == 8:
            one[0, 20:24, 20:24] = 9
        logits.append(one)
        truth.append(label)
    tables = join([count_image(*one, "binary", [grid]) for one in zip(logits, truth, strict=True)])
    groups = np.repeat(np.arange(40), 3)
    return solve(["a"], tables, [grid], groups, folds=5, seed=1, guard_areas=guard_areas)


def test_a_smallest_area_hides_few_of_the_labelled_defects():
    free, held = small_and_large(15, guard_areas=False).classes["a"], small_and_large(15).classes["a"]
    assert (free.best.min_area, free.unguarded) == (17, None), "worth more on these images"
    assert (held.best.min_area, held.unguarded.min_area) == (0, 17), "three groups of 40 have smaller defects"
    said = "class a: smallest area 0 px; 17 px would score more on these images and hide more than 5 %"
    assert said in small_and_large(15).text()
    assert small_and_large(15).to_dict()["classes"]["a"]["unguarded"]["min_area"] == 17
    assert small_and_large(40).classes["a"].best.min_area == 17, "one group of 40"


def test_each_group_weighs_the_same_when_areas_are_guarded():
    logits = np.full((1, 8, 8), -9, np.float32)
    grid = grid_of_areas([0.5], np.array([1, 3]), np.arange(2), np.full(2, 2), ClassDecision(0.5))
    truth = np.zeros((3, 1, 8, 8), np.bool_)
    truth[0, 0, ::2, ::2] = True  # sixteen small ones
    truth[1, 0, :4] = truth[2, 0, :4] = True
    tables = join([count_image(logits, one, "binary", [grid]) for one in truth])
    clean = np.zeros(3, np.bool_)
    sums = sum_up(tables[0], grid, np.array([0, 0, 1]), clean, groups_of=np.array([0, 1, 2]))
    np.testing.assert_allclose(sums.sizes, [[1, 1], [0, 1]])
    assert guarded(sums, grid).tolist() == [True, False]
    assert guarded(sums.of(np.array([False, True])), grid).all()


def test_near_duplicates_that_are_not_kept_together_would_flatter():
    honest, flattering = [], []
    for seed in range(6):
        for apart, gains in ((True, honest), (False, flattering)):
            _, one = chance(seed, 10, 10, apart=apart)
            gains.append(one.dice_cross_fitted - one.dice_before)
    assert np.mean(honest) < 0.03
    assert np.mean(flattering) > np.mean(honest) + 0.1


def test_groups_stay_together_and_classes_are_spread():
    rng = np.random.default_rng(3)
    groups, kinds = rng.integers(0, 60, 200), (rng.random(200) < 0.1).astype(int)
    folds = make_folds(groups, kinds, 5, 7)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    assert set(folds) == set(range(5))
    np.testing.assert_array_equal(folds, make_folds(groups, kinds, 5, 7))
    assert (folds != make_folds(groups, kinds, 5, 8)).any()
    alone = make_folds(np.arange(200), kinds, 5, 7)
    assert np.ptp([kinds[alone == fold].sum() for fold in range(5)]) <= 1


@pytest.mark.parametrize("rate", [0, 400, 2500, 1e9])
def test_the_best_recall_under_a_rate_of_false_alarms(rate):
    logits, truth = draw("multilabel", 8)
    result, tables, grid = calibrate(logits, truth, target=rate, folds=3)
    clean = np.array([not one.any() for one in truth])
    sums = [sum_up(table, grid, np.zeros(IMAGES, np.int64), clean) for table in tables]
    budget = rate * clean.sum() / 1000
    # Every pair of settings of the two classes.
    alarms = sums[0].alarms[0][:, None] + sums[1].alarms[0][None]
    found = sums[0].found[0][:, None] + sums[1].found[0][None]
    labelled = sum(int(one.labelled[0]) for one in sums)
    assert result.in_sample.recall == pytest.approx(found[alarms <= budget].max() / labelled)
    assert result.in_sample.false_alarms <= rate
    assert result.shared
    rates, recall = result.curves["together"]
    assert recall[np.searchsorted(rates, rate, side="right") - 1] == pytest.approx(result.in_sample.recall)
    assert (np.diff(rates) > 0).all()
    assert (np.diff(recall) > 0).all()
    a, b = (one.after for one in result.classes.values())
    through_decision = sum(slow_objects(logits, truth, "multilabel", one)[1][c] for c, one in enumerate((a, b)))
    assert 1000 * through_decision / clean.sum() == pytest.approx(result.in_sample.false_alarms)


def test_without_clean_images_each_class_keeps_the_rate_on_images_without_it():
    logits, truth = draw("multilabel", 9, 20)
    for number, one in enumerate(truth):
        one[number % 2, 3:9, 3:9], one[1 - number % 2] = True, False
    result, *_ = calibrate(logits, truth, target=300, folds=3)
    assert not result.shared
    assert result.to_dict()["false_alarms_on"] == "images without the class"
    for c, one in enumerate(result.classes.values()):
        without = np.array([not labels[c].any() for labels in truth])
        masks = [decided(logits[n], "multilabel", one.after)[0, c].numpy() for n in np.flatnonzero(without)]
        alarms = sum(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1 for mask in masks)
        assert 1000 * alarms / without.sum() <= 300
    rates, recall = result.curves["together"]
    assert recall[np.searchsorted(rates, 300, side="right") - 1] == pytest.approx(result.in_sample.recall)


def test_a_rate_that_cannot_be_kept_gives_the_fewest_false_alarms():
    logits, truth = draw("multilabel", 10)
    sure = [np.full_like(one, 50) for one in logits]
    areas = np.array([1, 3])
    grid = grid_of_areas([0.5], areas, np.array([0]), np.array([2]), ClassDecision(0.5))
    tables = join([count_image(*one, "multilabel", [grid, grid]) for one in zip(sure, truth, strict=True)])
    clean = np.array([not one.any() for one in truth])
    sums = [sum_up(table, grid, np.zeros(IMAGES, np.int64), clean) for table in tables]
    assert reach(sums, [grid, grid], 0, True) == (0, 0)
    assert frontier(sums, [grid, grid]).alarms.tolist() == [2 * clean.sum()]
    assert len(curve(sums, [grid, grid], True)[0]) == 1


def test_a_class_without_labels_keeps_its_setting():
    logits, truth = draw("multilabel", 11)
    for one in truth:
        one[1] = False
    result, tables, grid = calibrate(logits, truth)
    assert result.classes["b"].after == ClassDecision(0.5)
    sums = sum_up(tables[1], grid, np.arange(IMAGES) % 3, np.ones(IMAGES, np.bool_))
    assert choose(sums, grid) == grid.now_cell != fit(sums, grid).cell


@pytest.mark.parametrize("rate", [0, 700, 1e9])
def test_under_a_target_a_class_without_labels_keeps_its_setting_and_its_false_alarms_count(rate):
    logits, truth = draw("multilabel", 11)
    for one in truth:
        one[1] = False
    result, tables, grid = calibrate(logits, truth, target=rate, folds=3)
    assert result.classes["b"].best == result.classes["b"].after == ClassDecision(0.5)
    clean = np.array([not one.any() for one in truth])
    sums = [sum_up(table, grid, np.zeros(IMAGES, np.int64), clean) for table in tables]
    alarms = sums[0].alarms[0] + sums[1].alarms[0, grid.now_cell]
    allowed = max(rate * clean.sum() / 1000, alarms.min())
    assert result.in_sample.recall == sums[0].found[0, alarms <= allowed].max() / sums[0].labelled[0]


def test_of_settings_of_the_same_effect_a_target_takes_the_one_nearest_to_that_in_use():
    truth = np.zeros((6, 2, 17, 23), np.bool_)
    truth[:4, :, 3:9, 3:9] = True
    logits = [np.where(one, 50, -50).astype(np.float32) for one in truth]
    result, *_ = calibrate(logits, truth, target=100, folds=3)
    assert result.in_sample.mean_dice == 1
    assert not result.changed


def test_grids_hold_the_setting_in_use_and_the_percentiles():
    now = ClassDecision(0.37, 33, 777, 0.93)
    grid = make_grid(now, 900)
    assert grid.setting(grid.now_cell) == now
    assert {grid.setting(cell) for cell in range(len(grid.distance))} >= {
        ClassDecision(0.5),
        ClassDecision(0.99, 33, None),
    }
    assert grid.distance[grid.now_cell] == 0
    assert {grid.setting(cell).high_threshold for cell in range(len(grid.distance))} == {0, 0.93, *HIGH_THRESHOLDS}
    same = make_grid(now, 900, search_high=False)
    assert {same.setting(cell).high_threshold for cell in range(len(same.distance))} == {0, 0.93}  # 0: above 0.93
    assert same.setting(same.now_cell) == now
    limits = limits_of(np.arange(100, 1101))
    assert limits == (120, 1080)
    published = make_grid(now, 900, limits, search_areas=False)
    assert {(one.min_area, one.max_area) for one in map(published.setting, range(len(published.distance)))} == {
        (33, 777),
        (120, 1080),
    }
    kept = make_grid(ClassDecision(0.5), 900, search_areas=False)
    assert {kept.setting(cell).threshold for cell in range(len(kept.distance))} == set(kept.thresholds.tolist())
    assert limits_of([]) is None
