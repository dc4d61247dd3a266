"""Defect by defect: what the report says about those that were found, missed and made up."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.reporting import plots
from utils.reporting.overlays import AGREEMENT, as_hex
from utils.reporting.page import Heading, Plot, Row, Table, Text, shown
from utils.scoring.objects import AREAS, FOUND, ObjectCounts

# Of what was found and not: colours that no class has, told apart in every kind of sight by their brightness.
FOUND_COLOUR, PARTLY_COLOUR, MISSED_COLOUR = (as_hex(AGREEMENT[kind]) for kind in ("hit", "partly", "missed"))


def object_parts(objects: ObjectCounts, names: Sequence[str], confusion: np.ndarray | None = None) -> list[Any]:
    """Build the section on which defects were found and missed, by size and class, and the false alarms.

    Args:
        objects: the figures.
        names: of the classes.
        confusion: (C + 1, C + 1) defects by labelled and predicted class; None: not shown.
    """
    parts = {kind: getattr(objects, kind).sum(axis=0) for kind in ("found", "partly", "missed", "hidden", "false")}
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
            *(
                int(getattr(objects, kind)[k].sum())
                for kind in ("labelled", "found", "partly", "missed", "hidden", "false")
            ),
            _share(objects.found[k].sum(), objects.labelled[k].sum()),
            _share((objects.predicted - objects.false)[k].sum(), objects.predicted[k].sum()),
        ]
        for k, name in enumerate(names)
    ]
    pairs = [*zip(map(shown, names), objects.alarmed_images, objects.false_on_clean, strict=True)]
    pairs.append(("any", objects.alarmed, objects.false_on_clean.sum()))
    alarms = [
        [name, int(images), objects.per_thousand(images), int(false), objects.per_thousand(false)]
        for name, images, false in pairs
    ]
    kinds = ["labelled", "found", "partly found", "missed", "of these under min_area", "false", "recall"]
    hidden = int(objects.hidden.sum())
    return [
        Text(
            "A defect is a connected area of one class, corners count as connected. A labelled defect is found when the"
            f" prediction of its class covers at least {FOUND:.0%} of its pixels, partly found when it covers fewer, missed"
            " when it covers none. A predicted defect is false when it touches no labelled pixel of its class."
            " Recall: found of the labelled; precision: not false of the predicted."
        ),
        *(
            [
                Text(
                    f"{hidden:,} of the {int(objects.missed.sum()):,} missed defects are smaller than the smallest area that"
                    f" counts (min_area: {_min_areas(objects, names)}): a mask of their size would be dropped."
                )
            ]
            if hidden
            else []
        ),
        *([Row([Plot(_by_size(objects, used), "defects found and missed by size", _BY_SIZE)])] if len(used) else []),
        Table(["area in px", *kinds], by_size, "By size, all classes."),
        Table(["class", *kinds, "precision"], by_class, "By class, all sizes; sizes.csv has both at once."),
        *_confusion(confusion, names),
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
            last=1,
        )
        if objects.clean_images
        else Text("Every image has a labelled defect, so there is no clean one to raise a false alarm on."),
    ]


def _confusion(confusion: np.ndarray | None, names: Sequence[str]) -> list[Any]:
    if confusion is None or len(names) < 2:  # with one class there is nothing to mix up
        return []
    titles = [*map(shown, names), "no defect"]
    figure = plots.draw_matrix(
        confusion, titles, titles, "predicted", "labelled", write="{:,.0f}", blank=[(len(names), len(names))]
    )
    wrong = int(confusion[:-1, :-1].sum() - np.trace(confusion[:-1, :-1]))
    return [
        Heading("Confusion between classes"),
        Plot(
            figure,
            "matrix of labelled against predicted classes of defects",
            f"Defects by labelled class (row) and the class whose prediction covers most of them, at least {FOUND:.0%}"
            " (column). Right column: not found as any class. Bottom row: predicted where nothing is labelled."
            f" {wrong:,} {'is' if wrong == 1 else 'are'} called by another class's name. confusion.csv has the numbers.",
        ),
    ]


def _min_areas(objects: ObjectCounts, names: Sequence[str]) -> str:
    return ", ".join(f"{shown(name)} {area:,} px" for name, area in zip(names, objects.min_areas, strict=True))


_BY_SIZE = "Labelled defects by size: what share of them was found; above each bar, how many there are."


@plots.in_style
def _by_size(objects: ObjectCounts, used: np.ndarray) -> Figure:
    figure, axes = plots.new_figure(size=(6.4, 4.6))
    ax = axes[0, 0]
    labelled = objects.labelled.sum(axis=0)[used]
    bottom = np.zeros(len(used))
    for kind, label, fill, hatch in (
        ("found", "found", FOUND_COLOUR, ""),
        ("partly", "partly found", PARTLY_COLOUR, "//"),
        ("missed", "missed", MISSED_COLOUR, "xx"),
    ):
        share = 100 * getattr(objects, kind).sum(axis=0)[used] / np.maximum(labelled, 1)
        style = {"color": fill, "edgecolor": plots.INK, "linewidth": 0.8}
        ax.bar(range(len(used)), share, 0.8, bottom=bottom, label=label, hatch=hatch, **style)
        bottom += share
    for place, number in enumerate(labelled):
        ax.text(place, 101.5, f"{number:,}", ha="center", fontsize=12)
    ax.set_xticks(range(len(used)), [_size(k) for k in used], rotation=30, ha="right")
    ax.set_ylim(0, 110)
    ax.set_yticks(range(0, 101, 20))
    plots.finish(ax, "area of the labelled defect in px", "share of the defects in %, 0 to 100")
    ax.grid(axis="x", visible=False)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _size(index: int) -> str:
    if index == len(AREAS) - 1:
        return f"{AREAS[index]:,} or more"
    return f"{AREAS[index]:,} to {AREAS[index + 1] - 1:,}"


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None
