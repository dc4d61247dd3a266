"""Reviews in the database: an action counts once, and no other one under its id."""

import uuid

import pytest

from utils.desk.database import CannotKeep, Database
from utils.desk.review import Base
from utils.desk.reviews import Reviews
from utils.errors import InputError

BASE = Base(20, 30, ("pits", "cracks"), 1, "w.pth", "s", ())
FIRST = "a" * 64


@pytest.fixture
def reviews(tmp_path):
    database = Database(tmp_path)
    yield Reviews(database)
    database.close()


def act(reviews, sent, sha256=FIRST):
    return reviews.act(sha256, "V", "Ann", sent, lambda: BASE)


def adds(**more):
    return {"id": str(uuid.uuid4()), "kind": "add", "class_id": 1, "rle": "1 3", **more}


def test_the_same_action_counts_once(reviews):
    one = adds()
    assert act(reviews, [one, one])[0]["revision"] == 1
    assert act(reviews, [one]) == (act(reviews, [one])[0], False)


@pytest.mark.parametrize(
    ("changes", "sha256"), [({"rle": "1 4"}, FIRST), ({"class_id": 2}, FIRST), ({}, "b" * 64)], ids=str
)
def test_another_action_of_the_same_id_is_refused(reviews, changes, sha256):
    one = adds()
    act(reviews, [one])
    with pytest.raises(InputError, match="another action"):
        act(reviews, [{**one, **changes}], sha256)
    with pytest.raises(InputError, match="another action"):
        act(reviews, [other := adds(), {**other, "rle": "9 9"}])
    assert act(reviews, [one])[0]["revision"] == 1


def test_numbers_outlive_the_memory(reviews):
    first, second = adds(), adds(rle="100 3")
    act(reviews, [first, second])
    act(reviews, [{"id": str(uuid.uuid4()), "kind": "undo", "of": first["id"]}])
    reviews._known.clear()
    assert [one["number"] for one in reviews.describe(FIRST)["defects"]] == [2]
    assert [one["number"] for one in act(reviews, [adds(rle="200 3")])[0]["defects"]] == [2, 3]


def test_what_could_not_be_kept_is_not_shown(reviews):
    act(reviews, [adds()])
    reviews._database._safe.execute("PRAGMA query_only=ON")
    with pytest.raises(CannotKeep):
        act(reviews, [adds(rle="100 3")])
    reviews._database._safe.execute("PRAGMA query_only=OFF")
    assert len(reviews.describe(FIRST)["defects"]) == 1
    assert len(act(reviews, [adds(rle="100 3")])[0]["defects"]) == 2


def test_a_review_that_is_drawn_does_not_change_meanwhile(reviews):
    """Else a picture or a table that is made while somebody paints shows half a stroke, or fails."""
    act(reviews, [adds()])
    found = reviews.find(FIRST)
    drawn, told = found.masks(), found.to_dict()
    act(reviews, [adds(rle="100 3"), adds(rle="21 3", defect=1), {"id": str(uuid.uuid4()), "kind": "unsure"}])
    assert (found.masks() == drawn).all()
    assert found.to_dict() == told
    assert len(reviews.find(FIRST).defects) == 2
