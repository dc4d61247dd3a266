"""The report of an evaluation: what was scored, how well, where it went wrong, and how to read the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.reporting import plots
from utils.reporting.learning import History, learning_parts
from utils.reporting.page import Numbers, Picture, Plot, Row, Section, Table, Text, cell
from utils.scoring.evaluation import Evaluation
from utils.scoring.objects import AREAS, FOUND
from utils.scoring.presence import AVERAGES, NO_DEFECT, Curves
from utils.scoring.scores import TOGETHER


@dataclass(frozen=True)
class Example:
    """An image to look at.

    Attributes:
        name: of the image.
        picture: bytes of a PNG or JPEG file, prediction above ground truth.
        width: of the picture in pixels.
        dice: by class name, of the classes that are labelled or predicted.
    """

    name: str
    picture: bytes
    width: int
    dice: Mapping[str, float]


def evaluation_sections(
    evaluation: Evaluation,
    *,
    facts: Mapping[str, Any],
    worst: Sequence[Example],
    best: Sequence[Example],
    history: History | None,
    more: Sequence[Section] = (),
) -> list[Section]:
    """Lay out an evaluation for ``utils.reporting.page``.

    Args:
        evaluation: the figures.
        facts: label and value of what was scored with what.
        worst: images with the lowest Dice, the worst first.
        best: images with the highest Dice, the best first.
        history: of the run that made the weights; None when it is not known.
        more: sections of others, before the learning curves.
    """
    return [
        Section("Summary", _summary(evaluation)),
        Section("Classes", _classes(evaluation)),
        Section("Images", _images(evaluation)),
        Section("Defects", _defects(evaluation)),
        Section("Exact and smooth Dice", _three_dice(evaluation)),
        *more,
        Section("Learning curves", list(learning_parts(history, evaluation.class_names))),
        Section("Worst images", _examples(worst, "No image with a wrong pixel, or pictures were not asked for.")),
        Section(
            "Best images", _examples(best, "No further image with a labelled defect, or pictures were not asked for.")
        ),
        Section("What was scored", [Table(["what", "value"], [[label, value] for label, value in facts.items()])]),
    ]


def shown(name: str) -> str:
    """Name a class for a reader: a bare number becomes "class 3"."""
    return f"class {name}" if name.isdecimal() else name


def _summary(evaluation: Evaluation) -> list[Any]:
    scores, objects = evaluation.scores, evaluation.objects
    labelled, found = int(objects.labelled.sum()), int(objects.found.sum())
    notes = {
        "mean Dice": _between(evaluation, "mean_dice", TOGETHER),
        "empty baseline": "mean Dice of predicting nothing",
        "defect-only Dice": _between(evaluation, "defect_dice", TOGETHER),
        "IoU": "mean of the classes, whole set",
        "images": f"{objects.clean_images or 'none'} of them clean",
        "defects found": f"of {labelled:,} labelled",
        "false alarms": "clean images with one, per 1,000",
    }
    alarms = objects.per_thousand(objects.alarmed)
    values = {
        "mean Dice": scores.mean_dice,
        "empty baseline": scores.empty_baseline,
        "defect-only Dice": scores.defect_dice,
        "IoU": scores.iou,
        "images": scores.images,
        "defects found": f"{found / labelled:.0%}" if labelled else None,
        "false alarms": alarms if alarms is None else f"{alarms:.0f}",
    }
    intervals = evaluation.intervals
    how = (
        f" The {intervals.level:.0%} intervals come from {intervals.resamples:,} resamples: as many images as there are,"
        " drawn again with replacement. They say how far the score would move on other images of the same kind, not how"
        " far it would move on other steel."
        if intervals
        else ""
    )
    return [
        Numbers(values, notes),
        Text(
            "Mean Dice is the competition's score: 2 tp / (2 tp + fp + fn) of every image and class, where an empty"
            " prediction of a clean image counts 1. Most pairs of image and class are clean, so read it beside the empty"
            " baseline, and beside the defect-only Dice, which looks only at pairs with something to find." + how
        ),
    ]


def _between(evaluation: Evaluation, score: str, name: str) -> str:
    if evaluation.intervals is None:
        return ""
    ends = getattr(evaluation.intervals, score)[name]
    return f"{evaluation.intervals.level:.0%} interval {ends[0]:.4f} to {ends[1]:.4f}" if ends else ""


def _classes(evaluation: Evaluation) -> list[Any]:
    rows = []
    for name, score in [*evaluation.scores.classes.items(), (TOGETHER, evaluation.scores.together)]:
        numbers = (score.mean_dice, score.empty_baseline, score.defect_dice, score.iou, score.image_iou)
        rows.append([shown(name), score.with_defect, *numbers, score.precision, score.recall])
    columns = ["class", "images with it", "mean Dice", "empty baseline", "defect-only Dice"]
    columns += ["IoU, whole set", "IoU, per image", "pixel precision", "pixel recall"]
    captions = (
        "Defect-only Dice with its interval: where there is a defect of the class, how well does the mask fit?",
        "Mean Dice over all images with its interval; the dark mark is what predicting nothing would score.",
    )
    defect = _intervals(evaluation, "defect_dice", "defect-only Dice, 0 to 1")
    mean = _intervals(evaluation, "mean_dice", "mean Dice, 0 to 1")
    return [
        Table(
            columns,
            rows,
            "Whole set: pixels of all images are summed before the division. Per image: the mean over images, 1 where"
            " ground truth and prediction are both empty. Together: all pairs of image and class; for the IoU of the whole"
            " set the mean of the classes.",
        ),
        Row([Plot(defect, captions[0], captions[0]), Plot(mean, captions[1], captions[1])]),
    ]


@plots.in_style
def _intervals(evaluation: Evaluation, score: str, label: str) -> Figure:
    classes = evaluation.scores.classes
    figure, axes = plots.new_figure(size=(6.4, max(2.4, 1.4 + 0.55 * len(classes))))
    ax = axes[0, 0]
    for index, (name, values) in enumerate(classes.items()):
        value = getattr(values, score)
        if value is None:
            continue
        ends = getattr(evaluation.intervals, score)[name] if evaluation.intervals else None
        if ends:
            ax.plot(ends, [index, index], color=plots.INK, linewidth=2, solid_capstyle="butt")
        if score == "mean_dice":
            ax.plot([values.empty_baseline] * 2, [index - 0.28, index + 0.28], color=plots.INK, linewidth=3)
        ax.plot(value, index, "o", markersize=11, color=plots.colour(index), markeredgecolor=plots.INK)
    ax.set_yticks(range(len(classes)), [plots.short(shown(name)) for name in classes])
    ax.set_ylim(len(classes) - 0.4, -0.6)
    # From the first tenth below all marks: intervals are a few hundredths wide.
    least = min((x for line in ax.lines for x in line.get_xdata()), default=0.0)  # type: ignore[union-attr]
    ax.set_xlim(max(0.0, np.floor(10 * least - 0.3) / 10), 1.01)
    plots.finish(ax, label, "")
    ax.grid(axis="y", visible=False)
    return figure


def _images(evaluation: Evaluation) -> list[Any]:
    presence, names = evaluation.presence, evaluation.class_names
    meaning = {f"hasDefect_{k}": shown(name) for k, name in enumerate(names, start=1)}
    meaning |= {NO_DEFECT: "no class at all", **dict.fromkeys(AVERAGES, "")}
    rows = [
        [label, meaning[label], row["precision"], row["recall"], row["f1-score"], int(row["support"])]
        for label, row in presence.report.items()
    ]
    squares: list[Plot | Picture | Table] = [
        Plot(
            _square(label, np.array(matrix)),
            f"confusion matrix of {label}: {matrix}",
            f"{label} ({meaning[label]})",
        )
        for label, matrix in presence.confusion.items()
    ]
    numbers = [str(k) for k in range(len(presence.numbers))]
    many = plots.draw_matrix(presence.numbers, numbers, numbers, "predicted number of classes", "labelled number")
    return [
        Text(
            "Each image as a whole: an image is predicted to show a class when its mask of that class is not empty after"
            " thresholds and areas were applied. NoDefect is an image without any class."
        ),
        Table(
            ["label", "meaning", "precision", "recall", "f1", "images (support)"],
            rows,
            "Classification report of scikit-learn. Ratios without anything to divide by count 0.",
        ),
        Row(squares, width=300),
        Plot(
            many,
            "matrix of the number of defect classes, labelled against predicted",
            "Images by number of defect classes, labelled (row) against predicted (column).",
        ),
        Row(_score_curves(evaluation)),
        Text(
            "ROC and precision-recall curves need a score rather than a decision: an image's score for a class is the"
            " largest probability of any of its pixels, or what a classifier says about the image where there is one;"
            " 0 where a gate turned the image away. NoDefect scores 1 minus the largest of these. Areas that are too small"
            " to count are not left out of it."
        ),
        Table(
            ["label", "area under ROC", "average precision"],
            [
                [label, curves and curves.roc_auc, curves and curves.average_precision]
                for label, curves in presence.curves.items()
            ],
            "A dash: all images have the label, or none has.",
        ),
    ]


def _square(label: str, matrix: np.ndarray) -> Figure:
    return plots.draw_matrix(matrix, ["no", "yes"], ["no", "yes"], "predicted", "labelled", size=(4.0, 3.2))


def _score_curves(evaluation: Evaluation) -> list[Plot]:
    known = {label: curves for label, curves in evaluation.presence.curves.items() if curves}
    if not known:
        return []
    order = list(evaluation.presence.curves)
    named = dict(zip(order, [*map(shown, evaluation.class_names), "no defect"], strict=True))
    colours = [order.index(label) for label in known]
    kinds = (
        ("ROC curves", "false positive rate (share of images without it)", "true positive rate", _roc),
        ("precision-recall curves", "recall (share of images with it)", "precision", _precision_recall),
    )
    drawn = []
    for caption, x_label, y_label, points in kinds:
        series = {plots.short(named[label]): points(curves) for label, curves in known.items()}
        figure = plots.draw_curves(series, x_label, y_label, colours=colours)
        figure.axes[0].set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        drawn.append(Plot(figure, caption, f"{caption[0].upper()}{caption[1:]}."))
    return drawn


def _roc(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    return _thin(curves.false_positive_rate, curves.true_positive_rate)


def _precision_recall(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    return _thin(curves.recall, curves.precision)


def _thin(x: np.ndarray, y: np.ndarray, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Keep as many points as a plot can show; ``curves.csv`` has them all."""
    rows = np.unique(np.linspace(0, len(x) - 1, points).round().astype(int))
    return x[rows], y[rows]


def _defects(evaluation: Evaluation) -> list[Any]:
    objects, names = evaluation.objects, evaluation.class_names
    parts = {kind: getattr(objects, kind).sum(axis=0) for kind in ("found", "partly", "missed", "false")}
    labelled = objects.labelled.sum(axis=0)
    used = np.flatnonzero(labelled + parts["false"])
    sizes = [_size(k) for k in range(len(AREAS))]
    by_size = [
        [sizes[k], labelled[k], *(parts[kind][k] for kind in parts), _share(parts["found"][k], labelled[k])]
        for k in used
    ]
    by_class = [
        [
            shown(name),
            *(int(getattr(objects, kind)[k].sum()) for kind in ("labelled", "found", "partly", "missed", "false")),
            _share(objects.found[k].sum(), objects.labelled[k].sum()),
        ]
        for k, name in enumerate(names)
    ]
    pairs = [*zip(map(shown, names), objects.alarmed_images, objects.false_on_clean, strict=True)]
    pairs.append(("any", objects.alarmed, objects.false_on_clean.sum()))
    alarms = [
        [name, int(images), objects.per_thousand(images), int(false), objects.per_thousand(false)]
        for name, images, false in pairs
    ]
    kinds = ["labelled", "found", "partly found", "missed", "false", "found of labelled"]
    return [
        Text(
            "A defect is a connected area of one class, corners count as connected. A labelled defect is found when the"
            f" prediction of its class covers at least {FOUND:.0%} of its pixels, partly found when it covers fewer, missed"
            " when it covers none. A predicted defect is false when it touches no labelled pixel of its class."
        ),
        *([Row([Plot(_by_size(objects, used), "defects found and missed by size", _BY_SIZE)])] if len(used) else []),
        Table(["area in px", *kinds], by_size, "By size, all classes."),
        Table(["class", *kinds], by_class, "By class, all sizes; sizes.csv has both at once."),
        Table(
            [
                "class",
                "clean images with an alarm",
                "per 1,000 clean",
                "false defects on clean images",
                "per 1,000 clean",
            ],
            alarms,
            f"False alarms on the {objects.clean_images:,} images without any labelled defect.",
            digits=1,
        )
        if objects.clean_images
        else Text("Every image has a labelled defect, so there is no clean one to raise a false alarm on."),
    ]


_BY_SIZE = "Labelled defects by size: what share of them was found; above each bar, how many there are."


@plots.in_style
def _by_size(objects: Any, used: np.ndarray) -> Figure:
    figure, axes = plots.new_figure(size=(6.4, 4.6))
    ax = axes[0, 0]
    labelled = objects.labelled.sum(axis=0)[used]
    bottom = np.zeros(len(used))
    for kind, label, index, hatch in (
        ("found", "found", 3, ""),
        ("partly", "partly found", 1, "//"),
        ("missed", "missed", 0, "xx"),
    ):
        share = 100 * getattr(objects, kind).sum(axis=0)[used] / np.maximum(labelled, 1)
        style = plots.bar_style(index)
        ax.bar(range(len(used)), share, 0.8, bottom=bottom, label=label, hatch=hatch, **style)
        bottom += share
    for place, number in enumerate(labelled):
        ax.text(place, 101.5, f"{number:,}", ha="center", fontsize=12)
    ax.set_xticks(range(len(used)), [_size(k) for k in used], rotation=30, ha="right")
    ax.set_ylim(0, 110)
    plots.finish(ax, "area of the labelled defect in px", "share of the defects in %")
    ax.grid(axis="x", visible=False)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _size(index: int) -> str:
    if index == len(AREAS) - 1:
        return f"{AREAS[index]:,} or more"
    return f"{AREAS[index]:,} to {AREAS[index + 1] - 1:,}"


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _three_dice(evaluation: Evaluation) -> list[Any]:
    rows = []
    for name, dice in evaluation.dice.items():
        rows.append([shown(name), dice.exact, dice.smooth, dice.soft])
        rows[-1] += [dice.defect_exact, dice.defect_smooth, dice.defect_soft]
    return [
        Text(
            "Exact: the Dice of the decided masks, 1 where both are empty; every other number here uses it. Smooth: the same"
            " with one pixel added above and below the bar, as many training scripts report it. Soft: smooth, with the"
            " probability of each pixel in place of the decision, and no smallest area. Soft Dice is what a Dice loss"
            " pushes up. On a clean image it is low unless every single pixel's probability is close to 0, so it does not"
            " predict the competition's score."
        ),
        Table(
            ["class", "exact", "smooth", "soft", "exact, defects only", "smooth, defects only", "soft, defects only"],
            rows,
        ),
    ]


def _examples(examples: Sequence[Example], none: str) -> list[Any]:
    if not examples:
        return [Text(none)]
    pictures = [
        Picture(
            example.picture,
            f"{example.name}: prediction above ground truth",
            f"{example.name}: "
            + ", ".join(f"{shown(name)} Dice {cell(dice, 3)}" for name, dice in example.dice.items()),
        )
        for example in examples
    ]
    # Long strips need a line of their own, small images would waste it.
    widest = max(example.width for example in examples)
    return [Row(pictures, width=330 if widest < 600 else min(widest, 1000))]
