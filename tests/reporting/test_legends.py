"""Names in plots: cut but told apart, shown letter by letter; legends beside which the curves keep their room."""

import numpy as np
import pytest

from utils.reporting import plots
from utils.reporting.legends import INSIDE, labels_of, literal

X = np.linspace(0, 1, 5)


def test_names_that_begin_alike_stay_different():
    names = ["rolled-in scale, left edge", "rolled-in scale, right edge", "pit"]
    assert labels_of(names) == ["rolled-i…left edge", "rolled-i…ight edge", "pit"]
    assert labels_of(["a single name that is too long"]) == ["a single name tha…"]
    assert labels_of(["defect", "pit", "defect"]) == ["defect (1)", "pit", "defect (3)"]
    alike = ["a scratch on the strip, left side of it", "a scratch on the strip, right side of it"]
    assert labels_of(alike) == ["a scratc…ide of it (1)", "a scratc…ide of it (2)"]


def test_curves_of_equal_names_are_all_drawn_and_named():
    figure = plots.draw_curves([("_other", X, X), ("pit", X, X**2), ("pit", X, X**3)], "x", "y", colours=[4, 2, 0])
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["_other", "pit (2)", "pit (3)"]
    for line, power, index in zip(ax.lines, (1, 2, 3), (4, 2, 0), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), X**power)
        assert line.get_color() == plots.colour(index)


@pytest.mark.parametrize("name", ["crack_$x^$", r"a$\b$", "$5", "5 $ and 6 $"])
def test_names_are_no_formulas(name):
    figures = [
        plots.draw_curves([(name, X, X), ("b", X, X)], "x", "y", name, x_log=True),
        plots.draw_bars([name, "b"], {name: [1, 2], "c": [3, 4]}, "x", "y"),
        plots.draw_matrix(np.eye(2), [name, "b"], [name, "b"], "x", "y"),
    ]
    for figure in figures:
        assert "<svg" in plots.to_svg(figure)
    assert figures[0].axes[0].title._preprocess_math(literal(name)) == (name, False)


@pytest.mark.parametrize("count", [2, INSIDE, INSIDE + 1, 25, pytest.param(60, marks=pytest.mark.slow)])
def test_many_names_leave_the_curves_their_room(count):
    names = [f"class number {k}" for k in range(count)]
    figure = plots.draw_curves([(name, X, X) for name in names], "x", "y")
    plots.to_png(figure, dpi=50)
    ax = figure.axes[0]
    room = ax.get_window_extent().height / figure.dpi
    assert room > 0.7 * plots.SIZE[1]
    legend = ax.get_legend() or figure.legends[0]
    assert len(legend.get_texts()) == count
    inside = legend.get_window_extent()
    assert inside.x0 >= 0
    assert inside.x1 <= figure.bbox.x1
    if count > INSIDE:
        assert inside.y1 <= ax.get_tightbbox().y0
