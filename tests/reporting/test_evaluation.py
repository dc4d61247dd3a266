"""The report of an evaluation: the numbers it shows, and sets that leave nothing to draw."""

import re

import numpy as np
import pytest

from utils.reporting.evaluation import ExamplePicture, evaluation_sections
from utils.reporting.learning import learning_parts, read_history
from utils.reporting.page import Plot, Row, Table, Text, cell, render
from utils.reporting.presence import presence_parts
from utils.scoring.evaluation import Collector, Evaluation, measure
from utils.scoring.presence import AVERAGES, presence

TITLES = [
    "Summary",
    "Classes",
    "Images",
    "Defects",
    "Exact and smooth Dice",
    "Learning curves",
    "Worst images",
    "Best images",
    "What was scored",
]


def an_evaluation(names: tuple[str, ...], labelled: float, predicted: float, images: int = 6) -> Evaluation:
    """Evaluate random masks; shares of the pixels, 0 for none at all."""
    rng = np.random.default_rng(0)
    collector = Collector(names)
    for number in range(images):
        truth, found = (rng.random((len(names), 24, 40)) < share for share in (labelled, predicted))
        collector.add(f"{number}.png", measure(found, truth, iter(found.astype(float))))
    return collector.evaluate(20, 0)


def page_of(evaluation: Evaluation, **parts) -> str:
    parts = {"facts": {"weights": "a.pth"}, "worst": [], "best": [], "history": None, **parts}
    sections = evaluation_sections(evaluation, **parts)
    assert [section.title for section in sections] == TITLES
    return render("Evaluation", "6 images", sections)


@pytest.mark.parametrize(
    ("names", "labelled", "predicted"),
    [
        pytest.param(("pits", "cracks"), 0.02, 0.02, id="some of each"),
        pytest.param(("pits", "cracks"), 0.0, 0.0, id="nothing at all"),
        pytest.param(("1",), 0.02, 0.0, id="nothing predicted"),
        pytest.param(("1",), 0.0, 0.02, id="only false alarms"),
        pytest.param(("pits",), 1.0, 1.0, id="everything"),
        pytest.param(
            tuple(f"a kind of defect with a long name {k}" for k in range(12)),
            0.01,
            0.01,
            id="many classes",
            marks=pytest.mark.slow,
        ),
        pytest.param(("<b>bold</b>", "a & b"), 0.02, 0.02, id="names that look like HTML"),
        pytest.param(("crack_$x^$", r"a$\b$", "scale > $5"), 0.02, 0.02, id="names that look like mathematics"),
    ],
)
def test_every_set_has_a_page(names, labelled, predicted):
    evaluation = an_evaluation(names, labelled, predicted)
    page = page_of(evaluation)
    assert "<b>bold" not in page
    assert not re.search(r">\s*(?:nan|None|inf)\s*<", page)
    for number in (evaluation.scores.mean_dice, evaluation.scores.empty_baseline, evaluation.scores.defect_dice):
        assert f">{cell(number)}<" in page
    if not labelled:
        assert "0.00" not in re.search(r"defect-only Dice</dt><dd>(.*?)</dd>", page)[1]
    else:
        assert "no clean one to raise a false alarm" in page


def test_pictures_stand_with_their_dice():
    png = b"\x89PNG fake"
    examples = [ExamplePicture("strip <7>.jpg", png, 1600, {"pits": 0.25, "3": 1.0})]
    page = page_of(an_evaluation(("pits", "3"), 0.02, 0.02), worst=examples)
    assert "strip &lt;7&gt;.jpg: pits Dice 0.250, class 3 Dice 1.000" in page
    assert "--width: 1000px" in page
    assert "--width: 330px" in page_of(
        an_evaluation(("a",), 0.02, 0.02), best=[ExamplePicture("a.png", png, 400, {"a": 1.0})]
    )


HISTORY = """epoch,train_loss,valid_loss,valid_dice,valid_defect_dice,valid_dice_pits,lr_encoder,lr_decoder
1,0.9,0.8,0.2,nan,0.1,0.001,0.01
2,0.5,0.6,0.7,nan,0.4,0.0005,0.005
"""


def test_learning_curves_are_those_of_the_table(tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    words, row = learning_parts(read_history(tmp_path / "history.csv"), ("pits", "cracks"))
    assert isinstance(words, Text)
    assert words.text == "2 epochs; the best mean Dice came in epoch 2."
    assert isinstance(row, Row)
    drawn = {plot.figure.axes[0].get_ylabel(): plot.figure.axes[0] for plot in row.parts if isinstance(plot, Plot)}
    assert list(drawn) == ["loss", "Dice, 0 to 1", "learning rate"]
    assert [line.get_ydata().tolist() for line in drawn["loss"].lines] == [[0.9, 0.5], [0.8, 0.6]]
    assert drawn["learning rate"].get_yscale() == "log"
    assert len(row.parts) == 4


@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n", b"\xff\xfe\x00broken", "epoch\nnot a number\n"])
def test_a_run_without_readable_history_has_words_instead(tmp_path, content):
    path = tmp_path / "history.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    parts = learning_parts(read_history(path), ("pits",))
    assert [type(part) for part in parts] == [Text]


def test_the_page_names_classes_and_says_what_is_confused():
    truth, found = np.zeros((2, 3, 24, 40), bool)
    truth[0, :4], found[1, :4] = True, True  # pits called cracks; nobody has the third class
    truth[1, 10:12, :3] = True  # too small to count
    collector = Collector(("pits", "cracks", "3"), min_areas=(0, 20, 0))
    collector.add("a.png", measure(found, truth, iter(found.astype(float))))
    evaluation = collector.evaluate(0, 0)
    assert evaluation.confusion.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    page = page_of(evaluation)
    for words in (
        "Confusion between classes",
        "1 is called by another class&#39;s name",
        "1 of the 2 missed defects are smaller than the smallest area that counts (min_area: pits 0 px, cracks 20 px",
        "<dt>recall of defects</dt><dd>0%<small>0 of 2 labelled ones found",
        "<dt>precision of defects</dt><dd>0%<small>1 of 1 predicted ones are false",
        "Images with class 3",
    ):
        assert words in page, words
    assert "hasDefect_1</td>" not in page


def test_macro_averages_leave_out_classes_that_no_image_has():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], bool)
    said = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]], bool)
    found = presence(truth, said, said.astype(float))
    table = next(part for part in presence_parts(found, ("a", "b", "c"), "", "") if isinstance(part, Table))
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["a", "b", "c", "no defect", *AVERAGES]
    assert rows["c"][-1] == 0
    assert rows["macro avg"][1] == pytest.approx((1 + 0 + 1) / 3)  # recall of a, b and no defect
    assert found.report["macro avg"]["recall"] == pytest.approx((1 + 0 + 0 + 1) / 4)
