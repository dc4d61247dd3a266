"""The page about suspects shows label, answer and difference."""

import numpy as np

from utils.commands.suspect import CLEANLAB, COPIES
from utils.reporting.page import Picture, Row, Table, render
from utils.reporting.suspects_page import MEANT, Shown, sections
from utils.scoring.suspicion import KINDS, TWICE, WHOLE


def shown(answer=True, size=(40, 60), channels=2):
    label = np.zeros((2, *size), np.bool_)
    label[0, 5:20, 5:20] = True
    return Shown(
        "<a>.png",
        0.9,
        "class",
        "labelled pits",
        np.full((*size, 3), 120, np.uint8),
        label,
        label[:channels] if answer else None,
    )


def test_pictures_stand_beside_each_other():
    page = sections(
        [shown(), shown(answer=False), shown(size=(20, 90), channels=1)], ["pits", "cracks"], {"class": 3}, 9
    )
    rows = [part for part in page[1].parts if isinstance(part, Row)]
    assert [len(row.parts) for row in rows] == [3, 1, 3]
    assert all(isinstance(part, Picture) for row in rows for part in row.parts)
    assert [row.width for row in rows] == [240, 240, 240]
    html = render("Suspects", "here", page)
    assert "1. &lt;a&gt;.png" in html
    assert "<a>.png" not in html


def test_every_kind_is_explained():
    assert set(MEANT) == {*KINDS, WHOLE, TWICE, COPIES, CLEANLAB}
    page = sections([], ["pits"], dict.fromkeys(MEANT, 1), 20, ["a note"])
    (table,) = [part for part in page[0].parts if isinstance(part, Table)]
    assert len(table.rows) == len(MEANT)
    assert "Nothing speaks clearly against" in render("Suspects", "", sections([], ["pits"], {}, 20))
