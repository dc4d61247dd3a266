"""How an image was left: by people where they said something, or else by the network."""

import numpy as np
import pytest

from utils.decision.masks import DEFECT
from utils.desk.actions import Action
from utils.desk.findings import Finding
from utils.desk.review import Base, Review
from utils.desk.session import judge


def left(state: str, kinds: tuple[str, ...], class_names: tuple[str, ...], found: tuple[str, ...]):
    """Judge an image without masks of which people said this."""
    verdict = "defective" if found else "clean"
    finding = Finding(4, 4, verdict, found, np.zeros(0, DEFECT), (), np.array([0.9], np.float32), (), 0.5, 0.1)
    actions = [Action(str(number), kind, {"text": "look"}, "Ann", 1.0) for number, kind in enumerate(kinds)]
    review = Review.replay(Base.of(finding, class_names, 1, "w.pth", "s"), actions) if kinds else None
    told = {"state": state, "who": "Ann", "time": 1.0} if kinds else None
    row = {"key": "1", "name": "a.png", "sha256": "0", "added": 1.0, "meta": {}, "review": told}
    one = judge(row, finding, review, class_names)
    return one.verdict, list(one.classes)


@pytest.mark.parametrize(
    ("state", "kinds", "found", "verdict", "classes"),
    [
        pytest.param("", (), ("rust",), "NG", ["rust"], id="nobody said anything"),
        pytest.param("done", ("done",), ("rust",), "NG", ["rust"], id="right as it is"),
        pytest.param("open", ("comment",), ("rust",), "NG", ["rust"], id="a remark alone"),
        pytest.param("clean", ("clean",), ("rust",), "OK", [], id="marked clean"),
        pytest.param("unsure", ("unsure",), ("rust",), "unsure", ["rust"], id="unsure"),
        pytest.param("done", ("done",), (), "OK", [], id="rightly clean"),
    ],
)
def test_image_of_weights_without_masks_is_left_as_people_say(state, kinds, found, verdict, classes):
    assert left(state, kinds, (), found) == (verdict, classes)
