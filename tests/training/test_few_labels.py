"""Where a training on few labelled images stands."""

from utils.training.few_labels import PAGE, about_few

ROWS = """start,labelled,low,mean,high,dataset
random,10,0.100,0.200,0.300,neu
random,50,0.400,0.450,0.500,neu
random,200,0.600,0.610,0.620,neu
weights,50,0.500,0.550,0.600,neu
"""


def test_the_nearest_number_and_what_twice_as_many_bring(tmp_path):
    measured = tmp_path / "few.csv"
    measured.write_text(ROWS)
    (line,) = about_few(40, False, measured)
    assert line.startswith("40 labelled images are few: on neu, 50 led to a defect-only Dice of 0.45 (0.40 to 0.50),")
    assert "200 to 0.61" in line
    assert "10 led to" in about_few(20, False, measured)[0]
    assert "50 led to a defect-only Dice of 0.55 (0.50 to 0.60), after" in about_few(40, True, measured)[0]


def test_more_labels_that_brought_nothing_are_not_named(tmp_path):
    measured = tmp_path / "few.csv"
    measured.write_text(ROWS + "random,400,0.500,0.600,0.620,neu\n")
    assert about_few(200, False, measured)[0].endswith("0.61 (0.60 to 0.62), after a short training; see " + PAGE)
    assert "200 to 0.61" in about_few(60, False, measured)[0]


def test_no_line_where_they_are_many(tmp_path):
    measured = tmp_path / "few.csv"
    measured.write_text(ROWS)
    assert about_few(200, False, measured) == []
    assert about_few(50, True, measured) == []


def test_without_figures_it_says_where_to_look(tmp_path):
    (line,) = about_few(30, False, tmp_path / "none.csv")
    assert line.startswith("30 labelled images are few; docs/training.md#")
    assert about_few(4000, False, tmp_path / "none.csv") == []
