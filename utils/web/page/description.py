"""What a browser is told about a visit: one plain value, from which the workbench draws itself."""

from typing import Any

import numpy as np

from utils.desk.sources import Truth
from utils.inference.inspected import Inspected
from utils.inspection.about import About
from utils.reporting.overlays import class_label
from utils.web.page.actions import PageActions
from utils.web.page.drawing import css_colour, layers
from utils.web.page.visit import Finding, Seen, Visit

MOST_ROWS = 500  # defects of an image that are listed and can be picked; a network that sees noise finds thousands


def describe(actions: PageActions, visit: Visit) -> dict[str, Any]:
    """Return everything that the workbench shows of a visit."""
    with visit.lock:
        visit.version += 1
        about = actions.inspector(visit).about
        shown = visit.images.get(visit.shown) if visit.shown else None
        inspected = actions.current(visit, shown) if shown else None
        return {
            "version": visit.version,
            "token": visit.token,
            "classes": [
                {
                    "name": class_label(name, index),
                    "colour": css_colour(index),
                    "threshold": visit.thresholds[index],
                    "own": about.decision.thresholds[index],
                }
                for index, name in enumerate(about.class_names)
            ],
            "labels": [
                {"name": class_label(name, index), "threshold": threshold}
                for index, (name, threshold) in enumerate(zip(about.label_names, about.label_thresholds, strict=True))
            ],
            "images": [_row(seen, about, visit) for seen in visit.images.values() if seen.finding],
            "shown": _shown(shown, inspected, about) if shown and inspected else None,
            "refused": [{"name": refused.name, "reason": refused.reason} for refused in visit.refused],
            "run": str(visit.run) if visit.run else "",
        }


def _row(seen: Seen, about: About, visit: Visit) -> dict[str, Any]:
    """Return what the gallery needs to show, filter and sort an image by."""
    finding = seen.finding
    assert finding is not None
    areas, probabilities = _by_class(finding, len(about.class_names))
    best = max(probabilities, default=0.0)
    if finding.labels is not None and not about.class_names:
        best = float(finding.labels.max(initial=0))
    return {
        "key": seen.key,
        "name": seen.name,
        "size": list(finding.size),
        "verdict": finding.verdict,
        "doubt": about.doubt(finding.labels, finding.classes),
        "found": [class_label(name, 0) for name in finding.classes],
        "defects": len(finding.defects),
        "areas": areas,
        "area": sum(areas),
        "probabilities": probabilities,
        "probability": best,
        "old": finding.thresholds != visit.thresholds,
    }


def _by_class(finding: Finding, classes: int) -> tuple[list[int], list[float]]:
    """Return the area in pixels and the best mean probability of a defect for each class."""
    index = finding.defects["class_id"] - 1
    areas = np.bincount(index, weights=finding.defects["area_px"], minlength=classes)
    best = np.zeros(classes)
    np.maximum.at(best, index, finding.defects["mean_probability"])
    return areas.astype(int).tolist(), best.round(4).tolist()


def _shown(seen: Seen, inspected: Inspected, about: About) -> dict[str, Any]:
    """Return everything about the image in sight."""
    height, width = inspected.image.shape[:2]
    rows = inspected.defects
    if len(rows) > MOST_ROWS:  # the largest, in the order of the table
        rows = rows[np.sort(np.argsort(-rows["area_px"], kind="stable")[:MOST_ROWS])]
    labels = [] if inspected.labels is None else inspected.labels.astype(float).round(4).tolist()
    return {
        "key": seen.key,
        "name": seen.name,
        "width": width,
        "height": height,
        "milliseconds": round(1000 * (seen.finding.seconds if seen.finding else 0)),
        "verdict": about.verdict(inspected),
        "doubt": about.doubt(inspected.labels, about.found(inspected)),
        "found": [class_label(name, 0) for name in about.found(inspected)],
        "layers": layers(inspected.masks, list(range(len(inspected.masks)))),
        "defects": [
            {
                "kind": int(row["class_id"]) - 1,
                "area": int(row["area_px"]),
                "box": [int(row[side]) for side in ("x", "y", "width", "height")],
                "probability": round(float(row["mean_probability"]), 4),
            }
            for row in rows
        ],
        "more": len(inspected.defects) - len(rows),
        "labels": labels,
        "gated": inspected.logits is None and bool(about.class_names),
        "truth": _truth_once(seen, height, width, about),
    }


def _truth_once(seen: Seen, height: int, width: int, about: About) -> dict[str, Any] | None:
    """Draw the labels when an image is first shown: they stay while thresholds move."""
    if seen.truth_told is None or seen.truth_told[0] != about.file:
        seen.truth_told = about.file, _truth(seen.source.truth(height, width), about)
    return seen.truth_told[1]


def _truth(truth: Truth | None, about: About) -> dict[str, Any] | None:
    """Return what the labels of an image are; classes that the network knows by the same name have its colours."""
    if truth is None:
        return None
    if truth.masks is None:
        return {"note": truth.note, "classes": [], "layers": []}
    known = {name: index for index, name in enumerate(about.class_names)}
    colours = [known.get(name, len(known) + index) for index, name in enumerate(truth.class_names)]
    present = [bool(mask.any()) for mask in truth.masks]
    return {
        "note": "" if any(present) else "ground truth: no defect",
        "classes": [
            {"name": class_label(name, index), "colour": css_colour(colours[index]), "kind": known.get(name)}
            for index, name in enumerate(truth.class_names)
        ],
        "layers": layers(truth.masks, colours),
    }
