"""Lists of images and visits: what people said stands above what the network found."""

import cv2
import numpy as np
import pytest

from tests.desk.desks import bench, strip
from utils.desk.image_table import Filter
from utils.errors import InputError


@pytest.fixture
def desk():
    """A visit with a bright box in its first two images, a dark one in the second too, and nothing in the third."""
    with bench() as made:
        made.visit = made.begin()
        both = cv2.imdecode(np.frombuffer(strip(221), np.uint8), cv2.IMREAD_COLOR)
        both[30:36, 2:12] = 3
        made.add(made.visit, a=strip(220), b=cv2.imencode(".png", both)[1].tobytes(), c=strip(100))
        yield made


def names(desk, **wanted):
    listed = desk.services.listing.list_images(desk.visit, Filter(**wanted), "old", 100, 0)
    assert listed["total"] == len(listed["images"])
    return [row["name"][0] for row in listed["images"]]


def defective(desk):
    return desk.desk.describe(desk.desk.visit(desk.visit))["counts"]["defective"]


def test_filters_and_counts_follow_defects_that_are_rejected_one_by_one(desk):
    assert (names(desk, verdict="defective"), names(desk, found="dark"), defective(desk)) == (["a", "b"], ["b"], 2)
    desk.act(desk.visit, 1, "reject", defect=1)
    desk.act(desk.visit, 2, "reject", defect=1)
    assert (names(desk, verdict="defective"), names(desk, verdict="clean"), defective(desk)) == (["b"], ["a", "c"], 1)
    assert (names(desk, found="bright"), names(desk, found="dark")) == ([], ["b"])
    row = desk.desk.images.row(desk.visit, 1)
    assert (row["verdict"], row["review"]["verdict"], row["review"]["found"]) == ("defective", "clean", [])
    desk.act(desk.visit, 1, "undo")
    assert (names(desk, verdict="defective"), names(desk, found="bright")) == (["a", "b"], ["a"])


def test_a_painted_defect_makes_an_image_defective(desk):
    desk.act(desk.visit, 3, "add", class_id=2, rle="1 5")
    assert (names(desk, verdict="defective"), names(desk, found="dark")) == (["a", "b", "c"], ["b", "c"])


def test_visits_are_found_by_what_was_left(desk):
    def found(**search):
        return [visit["found"] for visit in desk.services.listing.list_visits(**search)["visits"]]

    assert found(found="dark") == [{"bright": 2, "dark": 1}]
    desk.act(desk.visit, 2, "clean")
    assert found(found="dark") == []
    assert found(verdict="defective") == [{"bright": 1}]
    desk.act(desk.visit, 1, "clean")
    assert found(verdict="defective") == []


def test_queue_of_proposals_keeps_what_the_network_said(desk):
    desk.act(desk.visit, 1, "reject", defect=1)
    assert desk.services.listing.next(desk.visit, "ng", None)["left"] == 2  # what was missed may still be painted
    desk.act(desk.visit, 1, "clean")
    desk.act(desk.visit, 2, "reject", defect=1)
    assert desk.services.listing.next(desk.visit, "ng", None) == {"key": "2", "left": 1}


def test_small_pictures_show_what_was_left(desk):
    def coloured():
        image = cv2.imdecode(np.frombuffer(desk.services.viewing.thumb(desk.visit, 1), np.uint8), cv2.IMREAD_COLOR)
        return int((np.ptp(image.astype(int), axis=2) > 60).sum())

    assert coloured() > 20
    desk.act(desk.visit, 1, "reject", defect=1)
    assert coloured() == 0


def test_two_pages_are_given_two_images(desk, monkeypatch):
    following = desk.services.listing.next
    assert [following(desk.visit, "new", None, page)["key"] for page in ("A", "B", "A", "C")] == ["1", "2", "1", "3"]
    assert following(desk.visit, "new", None, "D") == {"key": None, "left": 3}
    assert following(desk.visit, "new", None)["key"] is None, "a program that gives no word takes nothing from people"
    assert following(desk.visit, "new", 1, "A")["key"] is None
    assert following(desk.visit, "new", None, "D")["key"] == "1", "A has gone on"
    monkeypatch.setattr("utils.desk.listing.HELD_SECONDS", -1.0)
    assert following(desk.visit, "new", None, "E")["key"] == "1", "held too long"


def test_an_image_in_sight_is_held(desk):
    listing = desk.services.listing
    assert listing.hold(desk.visit, 2, {"page": "A"}) == {}
    listing.hold(desk.visit, 2, {"page": "B"})  # A has it
    assert [listing.next(desk.visit, "new", 1, page)["key"] for page in ("B", "A")] == ["3", "2"]
    for sent, message in (({}, "page: expected"), ({"page": "x" * 41}, "page: expected"), ({"x": 1}, "x")):
        with pytest.raises(InputError, match=message):
            listing.hold(desk.visit, 2, sent)
