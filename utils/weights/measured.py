"""Which thresholds the scores in a weights file belong to: calibration changes the thresholds, and measures no scores anew."""

from collections.abc import Mapping
from typing import Any

from utils.decision.decision import Decision

# In metrics, or in those of the test images within: the decision that the scores were measured with, where that is not
# the file's own.
MEASURED_WITH = "measured_with"
BEFORE = "with the thresholds before calibration"
AFTER = "as calibrated, to expect on other images (cross-fitted)"


def with_new_thresholds(metrics: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of weights whose thresholds change: their scores note the ones that they belong to.

    Args:
        metrics: of the weights.
        decision: in use until now, as ``Decision.to_dict`` gives it, or by other names.
    """
    noted = {
        name: _noted(part, decision) if isinstance(part, Mapping) and name == "test" else part
        for name, part in metrics.items()
    }
    return _noted(noted, decision)


def by_other_thresholds(scores: Mapping[str, Any]) -> bool:
    """Check whether scores belong to other thresholds than those of their file."""
    return MEASURED_WITH in scores


def of_file(metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a file so that scores by other thresholds say so, also those of earlier versions.

    Scores are measured by a training, and once more when weights are published.
    """
    if "calibration" not in metrics or MEASURED_WITH in metrics or "published_as" in provenance:
        return dict(metrics)
    # A system's test images were scored after its calibration, those of a single network (which has an epoch) before.
    return with_new_thresholds(metrics, {}) if "epoch" in metrics else _noted(metrics, {})


def _noted(scores: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    measured = any(key in scores for key in ("mean_dice", "labels", "macro_f1", "f1"))
    return {**scores, MEASURED_WITH: dict(decision)} if measured and MEASURED_WITH not in scores else dict(scores)


def decision_in_use(decision: Decision, label_thresholds: tuple[float, ...]) -> dict[str, Any]:
    """Return what scores were measured with, for ``with_new_thresholds``."""
    labels = {"label_thresholds": list(label_thresholds)} if label_thresholds else {}
    return {**decision.to_dict(), **labels}
