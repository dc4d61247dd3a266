"""Classes that people may give: further ones beside the weights', and a review seen through weights of other classes."""

import json
import uuid

import numpy as np
import pytest

from tests.desk.desks import bench, strip
from tests.web.red import about
from utils.desk.naming import Naming, check_names
from utils.desk.review import Base, Review
from utils.errors import InputError

BASE = Base(4, 6, ("anomaly", "pit"), 1, "w.pth", "s", ((2, "1 4", 0.5),))


def test_a_defect_gets_a_class_that_the_weights_do_not_know(tmp_path):
    with bench(tmp_path, further=("pit", "dark", "crack")) as desk:
        visit = desk.begin()
        desk.add(visit, a=strip())
        names = desk.desk.describe(desk.desk.visit(visit))["names"]
        assert [(one["id"], one["name"]) for one in names] == [(1, "bright"), (2, "dark"), (3, "pit"), (4, "crack")]
        review = desk.act(visit, 1, "class", defect=1, class_id=4)
        assert (review["found"], review["defects"][0]["name"]) == (["crack"], "crack")
        desk.act(visit, 1, "add", class_id=3, rle="1 5")
        assert desk.services.looking.image(visit, 1)["review"]["found"] == ["pit", "crack"]
        assert desk.services.viewing.thumb(visit, 1)[:2] == b"\xff\xd8"
        with pytest.raises(InputError, match="class_id: expected one of 1, 2, 3, 4"):
            desk.act(visit, 1, "add", class_id=5, rle="1 5")


def test_classes_come_to_a_review_that_began_without_them(tmp_path):
    with bench(tmp_path) as desk:
        visit = desk.begin()
        desk.add(visit, a=strip())
        desk.act(visit, 1, "reject", defect=1)
    with bench(tmp_path, further=("pit",)) as desk:
        assert desk.act(visit, 1, "add", class_id=3, rle="1 5")["found"] == ["pit"]
    with bench(tmp_path) as desk:
        assert desk.services.looking.image(visit, 1)["review"]["found"] == ["pit"]


def test_weights_of_other_classes_see_a_review_by_their_own_numbers():
    naming = Naming.of(about(class_names=("pit", "crack")))
    base = naming.widened(BASE)
    assert base.class_names == ("anomaly", "pit", "crack")
    told = naming.told(base, Review.begin(base).to_dict())
    assert [(one["class_id"], one["name"]) for one in told["defects"]] == [(1, "pit")]
    action = {"id": str(uuid.uuid4()), "kind": "class", "defect": 1, "class_id": 2}
    assert naming.meant(base, [action, {"kind": "done"}]) == [{**action, "class_id": 3}, {"kind": "done"}]
    for number in (0, 3, True, "2", 1.0):
        with pytest.raises(InputError, match="class_id: expected one of 1, 2"):
            naming.meant(base, [{**action, "class_id": number}])
    assert naming.meant(base, "junk") == "junk"
    masks = naming.masks(Review.begin(base))
    assert (masks.shape, int(masks[0].sum()), int(masks[1].sum())) == ((2, 4, 6), 4, 0)


def test_a_class_that_the_weights_do_not_know_keeps_its_name_and_gets_no_number_of_theirs():
    naming = Naming.of(about(class_names=("crack",)))
    base = naming.widened(BASE)
    (defect,) = naming.told(base, Review.begin(base).to_dict())["defects"]
    assert (defect["name"], defect["class_id"]) == ("pit", 3)
    assert naming.masks(Review.begin(base)).shape == (1, 4, 6)
    assert not np.any(naming.masks(Review.begin(base)))


def test_people_are_offered_classes_of_defects_before_alarms():
    naming = Naming.of(about(class_names=("anomaly",), task="anomaly"), ("pit", "crack"))
    assert [(one["id"], one["name"]) for one in naming.shown()] == [(2, "pit"), (3, "crack"), (1, "anomaly")]
    assert json.dumps(naming.shown())
    assert Naming.of(about(class_names=()), ("pit",)).names == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [(("a", "a"), "a is there twice"), (("a", " "), "1 to 60"), (("a\nb",), "1 to 60"), (("a" * 61,), "1 to 60")],
)
def test_names_that_are_none_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        check_names(names, "-class_names")
    assert check_names((" pit", "crack"), "-class_names") == ("pit", "crack")
