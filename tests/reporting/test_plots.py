"""Plots: labelled, in the colours of the overlays, the same bytes for the same numbers, and without pyplot."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from utils.reporting import plots
from utils.reporting.overlays import class_colour

X = np.linspace(0, 1, 5)
DRAWN = {
    "curves": lambda: plots.draw_curves([("a", X, X), ("b", X, X**2)], "x in px", "share"),
    "one point": lambda: plots.draw_curves([("a", [1], [0.5])], "x in px", "share"),
    "bars": lambda: plots.draw_bars(["a", "b"], {"n": [1, 2]}, "x in px", "share", colours=[0, 1]),
    "groups": lambda: plots.draw_bars(["a" * 30, "b" * 30], {"n": [1, 2], "m": [0, None]}, "x in px", "share"),
    "histogram": lambda: plots.draw_histogram([1, 3], [1, 10, 100], "x in px", "share", index=2, x_log=True),
    "matrix": lambda: plots.draw_matrix(np.array([[1, np.nan]]), ["a"], ["b", "c"], "x in px", "share"),
    "matrix of nothing": lambda: plots.draw_matrix(np.zeros((2, 2)), ["a", "b"], ["a", "b"], "x in px", "share"),
    "heatmap": lambda: plots.draw_heatmap(np.eye(3), "x in px", "share", "images"),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_plot_has_labels_large_letters_and_equal_bytes(kind):
    figure = DRAWN[kind]()
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x in px", "share")
    sizes = [text.get_fontsize() for text in (ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels())]
    assert min(sizes) >= 12
    assert plots.to_svg(figure) == plots.to_svg(DRAWN[kind]())
    picture = cv2.imdecode(np.frombuffer(plots.to_png(figure, dpi=50), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] > 150
    assert len(np.unique(picture)) > 20, "nothing was drawn"


def test_classes_have_the_colours_of_the_overlays():
    figure = plots.draw_curves([(str(k), X, X) for k in range(9)], "x", "y")
    expected = [np.divide(class_colour(k), 255) for k in range(9)]
    np.testing.assert_allclose([to_rgb(line.get_color()) for line in figure.axes[0].lines], expected)
    figure = plots.draw_bars(["a", "b"], {"n": [1, 2]}, "x", "y", colours=[3, 1])
    np.testing.assert_allclose([bar.get_facecolor()[:3] for bar in figure.axes[0].patches], [expected[3], expected[1]])


def test_lines_differ_without_colours():
    styles = [plots.line_style(index) for index in range(5)]
    assert len({str(style["linestyle"]) for style in styles}) == 5


def test_the_style_stays_in_the_plots():
    code = (
        "import sys, matplotlib; rc = matplotlib.rcParams; from utils.reporting import plots;"
        "before = {key: rc[key] for key in plots.STYLE}; assert rc['font.size'] == 10;"
        "plots.to_svg(plots.draw_curves([('a', [0, 1], [0, 1])], 'x', 'y'));"
        "assert 'matplotlib.pyplot' not in sys.modules; assert {key: rc[key] for key in plots.STYLE} == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
