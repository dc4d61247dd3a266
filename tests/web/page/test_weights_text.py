"""What the page says about the scores of the weights in use."""

from types import SimpleNamespace

from utils.web.page.weights_text import card


def about(**scores):
    return SimpleNamespace(
        file="a.pth",
        backend="torch",
        class_names=(),
        label_names=("pit",),
        label_thresholds=(0.5,),
        scores=scores,
        card=None,
    )


def test_scores_before_calibration_say_so_and_the_figure_to_expect_stands_below():
    told = {"split": "valid", "images": 40, "cross_fitted": {"mean_dice": 0.91}, "empty_baseline": 0.5}
    scores = {"mean_dice": 0.8, "images": 40, "data": "strips", "measured_with": {}, "calibration": told}
    lines = card(about(**scores, test={"mean_dice": 0.7, "images": 9, "data": "others"})).splitlines()
    assert lines[-3:] == [
        "| strips, with the thresholds before calibration | 40 | 0.8000 | - | - | - |",
        "| others | 9 | 0.7000 | - | - | - |",
        "| valid images, as calibrated, to expect on other images (cross-fitted) | 40 | 0.9100 | 0.5000 | - | - |",
    ]


def test_scores_of_published_weights_are_by_their_own_thresholds():
    lines = card(
        about(mean_dice=0.8, images=40, data="strips", calibration={"cross_fitted": {"mean_dice": 0.9}})
    ).splitlines()
    assert lines[-1] == "| strips | 40 | 0.8000 | - | - | - |"
