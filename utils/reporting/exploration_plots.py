"""The plots of the page about a dataset."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.data.exploration.images import LEVELS, ImageStatistics
from utils.data.exploration.labels import LabelStatistics
from utils.reporting.legends import add_legend, labels_of
from utils.reporting.plots import (
    INK,
    NEUTRAL,
    draw_bars,
    draw_heatmap,
    draw_histogram,
    draw_matrix,
    finish,
    in_style,
    line_style,
    new_figure,
)
from utils.text import plural

BINS = 32  # of a histogram
NO_DEFECT = "no defect"


def images_per_class(labels: LabelStatistics, names: Sequence[str]) -> Figure:
    """Draw how many images show each class."""
    counts = labels.images_per_class().tolist()
    return _whole(draw_bars(names, {"images": counts}, "class", "images", colours=range(len(names))))


def images_per_number(labels: LabelStatistics, clean_known: bool) -> Figure:
    """Draw how many images show no class, one, two ..."""
    numbers = labels.images_per_number().tolist()
    first = 0 if clean_known else 1
    shown = [str(k) for k in range(first, len(numbers))]
    return _whole(draw_bars(shown, {"images": numbers[first:]}, "number of classes in the image", "images"))


def pixels(labels: LabelStatistics, names: Sequence[str]) -> Figure:
    """Draw how many pixels each class has, and how many belong to none, on a logarithmic scale."""
    counts = labels.pixels_per_class().tolist()
    background = [] if labels.background is None else [labels.background]
    shown = [*names, NO_DEFECT] if background else names
    figure = draw_bars(shown, {"pixels": [*counts, *background]}, "class", "pixels", write="{:.3g}")
    axes = figure.axes[0]
    for patch, index in zip(axes.patches, range(len(names)), strict=False):
        patch.set(facecolor=line_style(index)["color"], edgecolor=INK, linewidth=0.8, alpha=1)
    for label, count in zip(axes.texts, [*counts, *background], strict=True):
        label.set_text(_brief(count))
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(1, 10 ** np.floor(np.log10(max(min(filter(None, counts), default=10) / 10, 1)))))
    return figure


def areas(table: pd.DataFrame, names: Sequence[str], of: str) -> Iterator[tuple[str, Figure]]:
    """Draw the areas of each class that has any, on one logarithmic scale, with percentiles.

    Args:
        table: columns class_id and area (pixels).
        names: of the classes.
        of: "image", where both percentiles are drawn as published, or "defect", where no upper limit is.
    """
    values = table["area"].to_numpy(dtype=float)
    if not len(values):
        return
    edges = np.geomspace(values.min(), max(values.max(), values.min() * 1.1), BINS + 1)
    # Rounding must not push the extremes out of the histogram.
    edges[0], edges[-1] = edges[0] * (1 - 1e-9), edges[-1] * (1 + 1e-9)
    for index, name in enumerate(names):
        own = values[(table["class_id"] == index + 1).to_numpy()]
        if not len(own):
            continue
        counts, _ = np.histogram(own, edges)
        x_label, y_label = (
            ("area of the class in an image, px", "images") if of == "image" else ("area of a defect, px", "defects")
        )
        figure = draw_histogram(counts, edges, x_label, y_label, name, index=index, x_log=True)
        axes = figure.axes[0]
        low, high = np.percentile(own, [2, 98])
        for place, side in ((low, "right"), (high, "left"))[: 2 if of == "image" else 1]:
            axes.axvline(place, color=INK, linestyle=(0, (5, 3)), linewidth=1.2)
            percent = "2 %" if side == "right" else "98 %"
            axes.annotate(
                percent,
                (place, 1),
                (-4 if side == "right" else 4, -12),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha=side,
                fontsize=11,
            )
        axes.set_ylim(0, counts.max() * 1.15)
        # Room for the two words beside the lines.
        room = (edges[-1] / edges[0]) ** 0.1
        axes.set_xlim(edges[0] / room, edges[-1] * room)
        yield name, _whole(figure)


def together(labels: LabelStatistics, names: Sequence[str]) -> Figure:
    """Draw how many images show two classes."""
    return draw_matrix(labels.together(), names, names, "class", "and class")


def places(labels: LabelStatistics, names: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """Draw where on the image each class that occurs lies."""
    assert labels.maps is not None
    counts = labels.images_per_class().tolist()
    rows, columns = labels.maps.shape[1:]
    size = (6.4, float(np.clip(5.2 * rows / columns, 0.9, 6.4)) + 1.1)
    for index, name in enumerate(names):
        if counts[index]:
            figure = draw_heatmap(
                labels.maps[index] * 100,
                "% of the width",
                "% of the height",
                "% of the images",
                f"{name}: {plural(counts[index], 'image', ',')}",
                extent=(0, 100, 100, 0),
                size=size,
            )
            yield name, figure


@in_style
def brightness(images: ImageStatistics, defective: set[str]) -> Figure:
    """Draw the mean grey values of the images with a defect and without."""
    means, shown = images.table["mean"].to_numpy(), images.table["image"].isin(defective).to_numpy()
    low, high = np.floor(means.min()), np.ceil(means.max())
    edges = np.linspace(low, max(high, low + 1), BINS + 1)
    figure, grid = new_figure()
    axes = grid[0, 0]
    lines, labels = [], []
    for name, own, style in (
        ("with a defect", means[shown], {"color": INK, "linewidth": 2.2}),
        (NO_DEFECT, means[~shown], {"color": NEUTRAL, "linewidth": 2.2, "linestyle": (0, (4, 2))}),
    ):
        if len(own):
            counts, _ = np.histogram(own, edges)
            lines.append(axes.stairs(counts / len(own) * 100, edges, **style))
            labels.append(f"{name} ({len(own):,})")
    finish(axes, "mean grey value of the image, 0..255", "% of these images")
    add_legend(axes, lines, labels)
    return figure


@in_style
def grey_values(images: ImageStatistics, names: Sequence[str]) -> Figure:
    """Draw the grey values of the pixels of each class and of none."""
    figure, grid = new_figure()
    axes = grid[0, 0]
    width = 4  # grey values a bin, or the spikes of narrow histograms hide the shape
    edges = np.arange(0, LEVELS + 1, width)
    drawn = []
    for index, name in enumerate([NO_DEFECT, *names]):
        histogram = images.histograms[index].reshape(-1, width).sum(axis=1)
        if histogram.sum():
            style = {"color": NEUTRAL, "linewidth": 2.2} if not index else line_style(index - 1)
            axes.plot(edges[:-1] + width / 2, histogram / histogram.sum() * 100, **style)
            drawn.append(name)
    finish(axes, "grey value, 0..255", "% of the pixels in steps of 4")
    add_legend(axes, axes.lines, labels_of(drawn))
    return figure


def _whole(figure: Figure) -> Figure:
    """Mark only whole numbers on the y axis."""
    figure.axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _brief(count: int) -> str:
    """Write a large number in few letters: 834,471 as 834 k, 131,306,899 as 131 M."""
    for limit, unit in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if count >= limit:
            value = count / limit
            return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"
    return str(count)
