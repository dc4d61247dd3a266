"""The report of an evaluation: what was scored, how well, where it went wrong, and how to read the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.reporting import plots
from utils.reporting.learning import History, learning_parts
from utils.reporting.legends import labels_of
from utils.reporting.objects import object_parts
from utils.reporting.page import Numbers, Picture, Plot, Row, Section, Table, Text, cell, shown
from utils.reporting.presence import presence_parts
from utils.scoring.evaluation import Evaluation
from utils.scoring.labels import LabelScores
from utils.scoring.presence import Presence
from utils.text import TOGETHER


@dataclass(frozen=True)
class ExamplePicture:
    """An image to look at.

    Attributes:
        name: of the image.
        picture: bytes of a PNG or JPEG file: prediction, ground truth and where they agree.
        width: of the picture in pixels.
        dice: by class name, of the classes that are labelled or predicted.
    """

    name: str
    picture: bytes
    width: int
    dice: Mapping[str, float]


_DECIDED = (
    "It is predicted to show a class when its mask of that class is not empty after thresholds and areas were applied."
)
_SCORED = (
    "An image's score for a class is the largest probability of any of its pixels, 0 where a gate turned the image away; or"
    " what a classifier says about the class where there is one. One that only tells defect from no defect says nothing about"
    " each of several classes. Defects that are too small to count are not left out of the score."
)


def evaluation_sections(
    evaluation: Evaluation,
    *,
    facts: Mapping[str, Any],
    worst: Sequence[ExamplePicture],
    best: Sequence[ExamplePicture],
    history: History | None,
    more: Sequence[Section] = (),
) -> list[Section]:
    """Build the sections of an evaluation for ``utils.reporting.page``.

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
        Section("Images", presence_parts(evaluation.presence, evaluation.class_names, _DECIDED, _SCORED)),
        Section("Defects", object_parts(evaluation.objects, evaluation.class_names, evaluation.confusion)),
        Section("Exact and smooth Dice", _three_dice(evaluation)),
        *more,
        Section("Learning curves", list(learning_parts(history, evaluation.class_names))),
        Section("Worst images", _examples(worst, "No image with a wrong pixel, or pictures were not asked for.")),
        Section(
            "Best images", _examples(best, "No further image with a labelled defect, or pictures were not asked for.")
        ),
        Section("What was scored", [_facts(facts)]),
    ]


def classifier_sections(
    presence: Presence,
    names: Sequence[str],
    *,
    scores: LabelScores,
    facts: Mapping[str, Any],
    history: History | None,
    more: Sequence[Section] = (),
) -> list[Section]:
    """Build the sections of the evaluation of a network that judges whole images and draws no masks.

    Args:
        presence: the figures.
        names: of the classes.
        scores: of the network's answers.
        facts: label and value of what was scored with what.
        history: of the run that made the weights; None when it is not known.
        more: sections of others, before the learning curves.
    """
    decided = "It is predicted to show a class when the network's probability reaches the threshold."
    parts = presence_parts(presence, names, decided, "An image's score for a class is that probability.")
    return [
        Section("Summary", [_answers(scores)]),
        Section("Images", parts),
        *more,
        Section("Learning curves", list(learning_parts(history, tuple(names)))),
        Section("What was scored", [_facts(facts)]),
    ]


def _answers(scores: LabelScores) -> Table:
    keys = ("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss")
    rows = [
        [shown(name), one.with_label, *(getattr(one, key) for key in keys)]
        for name, one in [*scores.classes.items(), ("mean", scores.together)]
    ]
    return Table(
        [
            "label",
            "images with it",
            "accuracy",
            "precision",
            "recall",
            "F1",
            "ROC-AUC",
            "average precision",
            "log loss",
        ],
        rows,
        "Log loss: mean of -log of the probability given to the right answer. It is small where probabilities can be"
        f" trusted; always saying 0.5 has {np.log(2):.4f}.",
        last=1,
    )


def _facts(facts: Mapping[str, Any]) -> Table:
    return Table(["what", "value"], [[label, value] for label, value in facts.items()], ordered=True)


def _summary(evaluation: Evaluation) -> list[Any]:
    scores, objects = evaluation.scores, evaluation.objects
    labelled, found, predicted = (int(part.sum()) for part in (objects.labelled, objects.found, objects.predicted))
    notes = {
        "mean Dice": _between(evaluation, "mean_dice", TOGETHER),
        "empty baseline": "mean Dice of predicting nothing",
        "defect-only Dice": _between(evaluation, "defect_dice", TOGETHER),
        "IoU": "mean of the classes, whole set",
        "images": f"{objects.clean_images or 'none'} of them clean",
        "recall of defects": f"{found:,} of {labelled:,} labelled ones found",
        "precision of defects": f"{int(objects.false.sum()):,} of {predicted:,} predicted ones are false",
        "false alarms": "clean images with one, per 1,000",
    }
    alarms = objects.per_thousand(objects.alarmed)
    values = {
        "mean Dice": scores.mean_dice,
        "empty baseline": scores.empty_baseline,
        "defect-only Dice": scores.defect_dice,
        "IoU": scores.iou,
        "images": scores.images,
        "recall of defects": f"{found / labelled:.0%}" if labelled else None,
        "precision of defects": f"{1 - int(objects.false.sum()) / predicted:.0%}" if predicted else None,
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
    defect = _intervals(evaluation, "defect_dice", "defect-only Dice")
    mean = _intervals(evaluation, "mean_dice", "mean Dice")
    return [
        Table(
            columns,
            rows,
            "Whole set: pixels of all images are summed before the division. Per image: the mean over images, 1 where"
            " ground truth and prediction are both empty. Together: all pairs of image and class; for the IoU of the whole"
            " set the mean of the classes.",
            last=1,
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
        ax.plot(value, index, "o", markersize=11, clip_on=False, color=plots.colour(index), markeredgecolor=plots.INK)
    ax.set_yticks(range(len(classes)), labels_of([shown(name) for name in classes]))
    ax.set_ylim(len(classes) - 0.4, -0.6)
    # From the first tenth below all marks: intervals are a few hundredths wide.
    least = min((x for line in ax.lines for x in line.get_xdata()), default=0.0)  # type: ignore[union-attr]
    begin = max(0.0, np.floor(10 * least - 0.3) / 10)
    ax.set_xlim(begin, 1.01)
    plots.finish(ax, f"{label}; the axis runs from {begin:g} to 1", "")
    ax.grid(axis="y", visible=False)
    return figure


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


def _examples(examples: Sequence[ExamplePicture], none: str) -> list[Any]:
    if not examples:
        return [Text(none)]
    pictures = [
        Picture(
            example.picture,
            f"{example.name}: prediction, ground truth and where they agree",
            f"{example.name}: "
            + ", ".join(f"{shown(name)} Dice {cell(dice, 3)}" for name, dice in example.dice.items()),
        )
        for example in examples
    ]
    # Long strips need a line of their own, small images would waste it.
    widest = max(example.width for example in examples)
    return [Row(pictures, width=330 if widest < 600 else min(widest, 1000))]
