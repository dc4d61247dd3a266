"""What the page says about the weights in use: one line above all, and their card below."""

import html
from typing import Any

from utils.inspection.about import About
from utils.weights.measured import AFTER, BEFORE, by_other_thresholds

TITLE = "Inspector of flat steel"


def heading(about: About) -> str:
    """Return the page's heading and the line below it, as HTML."""
    classes = ", ".join(about.class_names or about.label_names)
    rows = [
        f"<strong>{html.escape(about.name)}</strong> ({about.kind})",
        html.escape(classes),
        html.escape(about.backend),
    ]
    return f"<h1>{TITLE}</h1><p>{' &middot; '.join(rows)}</p>"


def card(about: About) -> str:
    """Return the card of the weights, or what is known without one, as Markdown."""
    lines = [f"File `{about.file}`, run by {about.backend}.", ""]
    if about.class_names:
        heads = "class", "probability from", "somewhere in a defect from", "smallest area, px", "largest area, px"
        lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        lines += [
            f"| {name} | {one.threshold:g} | {one.high_threshold or '-'} | {one.min_area} |"
            f" {'-' if one.max_area is None else one.max_area} |"
            for name, one in zip(about.class_names, about.decision.per_class, strict=True)
        ]
    if about.label_names:
        lines += ["", "| label of the whole image | probability from |", "|---|---|"]
        lines += [f"| {name} | {t:g} |" for name, t in zip(about.label_names, about.label_thresholds, strict=True)]
    lines += ["", *_scores(about.scores)]
    if about.card:
        lines += ["", "---", "", about.card]
    return "\n".join(lines)


def _scores(scores: dict[str, Any]) -> list[str]:
    """Format scores: plain ones, or those of each set of images that they were measured on."""
    groups = {name: part for name, part in scores.items() if isinstance(part, dict) and "mean_dice" in part}
    if "mean_dice" in scores:
        groups = {str(scores.get("data", "validation")): scores, **groups}
    if not groups:
        return ["No scores are known of them: `Evaluate.py` measures them on labelled images."]
    wanted = {"mean_dice": "mean Dice", "empty_baseline": "empty baseline", "defect_dice": "defect Dice", "iou": "IoU"}
    lines = [f"| measured on | images | {' | '.join(wanted.values())} |", "|---|---|---|---|---|---|"]
    for name, part in groups.items():
        figures = [f"{part[key]:.4f}" if isinstance(part.get(key), float) else "-" for key in wanted]
        what = f"{part.get('data', name)}{f', {BEFORE}' if by_other_thresholds(part) else ''}"
        lines.append(f"| {what} | {part.get('images', '-')} | {' | '.join(figures)} |")
    told = scores.get("calibration")
    if isinstance(told, dict) and by_other_thresholds(scores):
        honest, empty = told.get("cross_fitted"), told.get("empty_baseline")
        if isinstance(honest, dict) and isinstance(honest.get("mean_dice"), float):
            figures = [f"{honest['mean_dice']:.4f}", f"{empty:.4f}" if isinstance(empty, float) else "-", "-", "-"]
            what = f"{told.get('split', 'validation')} images, {AFTER}"
            lines.append(f"| {what} | {told.get('images', '-')} | {' | '.join(figures)} |")
    return lines
