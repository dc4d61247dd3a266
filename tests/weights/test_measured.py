"""Scores of a weights file say which thresholds they belong to when these have changed since."""

import pytest

from utils.decision.decision import Decision
from utils.weights.measured import MEASURED_WITH, by_other_thresholds, decision_in_use, of_file, with_new_thresholds

OLD = decision_in_use(Decision((0.5, 0.5), (0, 9)), ())
SCORES = {"mean_dice": 0.9, "epoch": 3}


def test_scores_keep_the_thresholds_that_they_were_measured_with():
    told = with_new_thresholds({**SCORES, "test": {"mean_dice": 0.8}, "data": "x"}, OLD)
    assert told["mean_dice"] == 0.9
    assert told[MEASURED_WITH] == told["test"][MEASURED_WITH] == OLD
    assert OLD["thresholds"] == [0.5, 0.5]
    again = with_new_thresholds(told, decision_in_use(Decision((0.1, 0.2), (1, 1)), ()))
    assert again == told, "a second calibration measures nothing either"


def test_what_has_no_scores_has_nothing_to_say():
    assert with_new_thresholds({"epoch": 3}, OLD) == {"epoch": 3}
    assert decision_in_use(Decision((), ()), (0.4,))["label_thresholds"] == [0.4]


CALIBRATED = {**SCORES, "calibration": {"split": "valid"}, "test": {"mean_dice": 0.8}}


@pytest.mark.parametrize(
    ("metrics", "provenance", "top", "test"),
    [
        (CALIBRATED, {}, True, True),
        ({key: value for key, value in CALIBRATED.items() if key != "epoch"}, {}, True, False),  # a system
        (CALIBRATED, {"published_as": "a"}, False, False),  # measured anew
        ({**SCORES, "test": {"mean_dice": 0.8}}, {}, False, False),
    ],
)
def test_files_of_earlier_versions(metrics, provenance, top, test):
    told = of_file(metrics, provenance)
    assert (by_other_thresholds(told), by_other_thresholds(told["test"])) == (top, test)
