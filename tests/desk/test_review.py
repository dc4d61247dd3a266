"""Actions on an image one after the other: what is left of the proposals, and what may not be sent."""

import uuid

import numpy as np
import pytest

from utils.data import rle
from utils.desk.actions import Action, check_actions
from utils.desk.review import Base, Review, fill

HEIGHT, WIDTH = 20, 30
SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4]]


def coded(x: int, y: int, width: int, height: int) -> str:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + height, x : x + width] = 1
    return rle.encode(mask)


BASE = Base(
    HEIGHT, WIDTH, ("pits", "cracks"), 1, "w.pth", "s", ((1, coded(10, 5, 6, 4), 0.9), (2, coded(0, 10, 3, 3), 0.6))
)


def does(kind: str, who: str = "Ann", **content) -> Action:
    sent = {"id": str(uuid.uuid4()), "kind": kind, **content}
    (action,) = check_actions([sent], BASE, who, 1.0)
    return action


def after(*actions: Action) -> Review:
    return Review.replay(BASE, actions)


def areas(review: Review) -> list[int]:
    return [int(mask.sum()) for mask in review.masks()]


@pytest.mark.parametrize(
    ("actions", "left", "state"),
    [
        pytest.param([], [24, 9], "open", id="nothing"),
        pytest.param([("accept", {"defect": 1})], [24, 9], "open", id="one accepted, one to do"),
        pytest.param([("accept", {"defect": 1}), ("reject", {"defect": 2})], [24, 0], "done", id="all judged"),
        pytest.param(
            [("reject", {"defect": 1}), ("reject", {"defect": 2})], [0, 0], "open", id="clean, or not painted yet"
        ),
        pytest.param([("class", {"defect": 2, "class_id": 1})], [33, 0], "open", id="another class"),
        pytest.param([("add", {"class_id": 2, "polygon": SQUARE})], [24, 25], "open", id="painted"),
        pytest.param([("add", {"class_id": 1, "defect": 1, "rle": coded(10, 9, 6, 1)})], [30, 9], "open", id="joined"),
        pytest.param([("erase", {"rle": coded(0, 0, WIDTH, 7)})], [12, 9], "open", id="erased in part"),
        pytest.param([("erase", {"class_id": 1, "rle": coded(0, 0, WIDTH, HEIGHT)})], [0, 9], "open", id="of a class"),
        pytest.param([("erase", {"defect": 2, "rle": coded(0, 0, WIDTH, HEIGHT)})], [24, 0], "open", id="of one"),
        pytest.param([("clean", {})], [0, 0], "clean", id="clean"),
        pytest.param(
            [("clean", {}), ("add", {"class_id": 2, "polygon": SQUARE})], [0, 16], "done", id="not quite clean"
        ),
        pytest.param([("unsure", {}), ("accept", {"defect": 1})], [24, 9], "unsure", id="unsure"),
        pytest.param([("done", {})], [24, 9], "done", id="right as it is"),
        pytest.param([("done", {}), ("open", {})], [24, 9], "open", id="back to the queue"),
        pytest.param([("reject", {"defect": 7})], [24, 9], "open", id="a defect that is not there"),
        pytest.param([("erase", {"rle": ""})], [24, 9], "open", id="nothing erased"),
    ],
)
def test_actions_leave(actions, left, state):
    review = after(*(does(kind, **content) for kind, content in actions))
    assert (areas(review), review.state) == (left, state)
    assert sum(one["area_px"] for one in review.to_dict()["defects"] if one["review"] != "rejected") == sum(left)


def test_polygon_takes_the_pixels_whose_centres_it_holds():
    review = after(does("add", class_id=1, polygon=[[[2, 3], [7, 3], [7, 5], [2, 5]]]))
    (mask,) = [one for one in review.defects.values() if not one.proposed]
    assert (mask.x, mask.y, mask.shape.shape, mask.shape.all()) == (2, 3, (2, 5), True)


@pytest.mark.parametrize(
    ("rings", "area"),
    [
        ([[[0, 0], [0, 9], [9, 9], [9, 0]], [[3, 3], [6, 3], [6, 6], [3, 6]]], 72),
        ([[[-1, -1], [31, -1], [31, 21], [-1, 21]]], HEIGHT * WIDTH),
        ([[[0.4, 0.4], [1.6, 0.4], [1.6, 1.6], [0.4, 1.6]]], 4),
        ([[[0.6, 0.6], [1.4, 0.6], [1.4, 1.4], [0.6, 1.4]]], 0),
        ([[[0, 0], [10, 0], [0, 10]]], 45),
        ([[[5, 5], [5, 5], [5, 5]]], 0),
    ],
)
def test_inside_of_rings(rings, area):
    assert int(fill([np.array(ring, float) for ring in rings], HEIGHT, WIDTH).sum()) == area


def test_undo_takes_back_the_last_of_the_same_person():
    ann, bo = does("reject", defect=1), does("reject", "Bo", defect=2)
    assert areas(after(ann, bo, does("undo"))) == [24, 0]
    assert areas(after(ann, bo, does("undo", "Bo"))) == [0, 9]
    assert areas(after(ann, bo, does("undo", "Bo", of=ann.id))) == [24, 0]
    assert areas(after(ann, bo, does("undo"), does("undo"), does("undo"))) == [24, 0]
    assert after(ann, bo, does("undo")).revision == 3


def test_comment_and_history():
    told = after(does("comment", text="roll mark"), does("accept", "Bo", defect=1)).to_dict()
    assert told["comment"] == "roll mark"
    assert [(one["who"], one["kind"]) for one in told["history"]] == [("Ann", "comment"), ("Bo", "accept")]


def test_verdict_and_classes_follow_what_was_left():
    def outcome(*actions: Action):
        review = after(*actions)
        return review.verdict, review.found

    one, other = does("reject", defect=1), does("reject", defect=2)
    assert outcome() == outcome(does("comment", text="look")) == ("defective", ("pits", "cracks"))
    assert outcome(one) == ("defective", ("cracks",))
    assert outcome(one, other) == outcome(does("clean")) == ("clean", ())
    assert outcome(one, other, does("undo")) == ("defective", ("cracks",))
    assert outcome(one, other, does("add", class_id=1, rle=coded(20, 0, 3, 3))) == ("defective", ("pits",))
    labels = Base(HEIGHT, WIDTH, (), 1, "w.pth", "s", ())
    assert Review.begin(labels).verdict is None
    assert Review.replay(labels, [does("clean")]).verdict == "clean"


def test_what_is_told_of_a_defect_follows_its_shape():
    review = after(does("add", class_id=1, rle=coded(20, 0, 3, 3)))
    first = review.to_dict()["defects"][2]
    assert (first["area_px"], first["rle"]) == (9, coded(20, 0, 3, 3))
    review.apply(does("add", class_id=1, defect=3, rle=coded(19, 1, 4, 4)))
    more = review.to_dict()["defects"][2]
    assert (more["area_px"], more["box"]) == (19, {"x": 19, "y": 0, "width": 4, "height": 5})
    review.apply(does("erase", defect=3, rle=coded(19, 0, 4, 3)))
    less = review.to_dict()["defects"][2]
    assert (less["area_px"], less["rle"]) == (8, coded(19, 3, 4, 2))
    assert less["outline"] != more["outline"] != first["outline"]


def test_base_comes_back():
    assert Base.from_json(BASE.to_json()) == BASE


def test_numbers_stay_when_an_action_before_is_undone():
    first = does("add", class_id=1, rle=coded(20, 0, 3, 3))
    second = does("add", "Bob", class_id=2, rle=coded(20, 8, 4, 4))
    made = after(first, second)  # what numbers them
    third = does("class", "Bob", defect=4, class_id=1)
    review = after(first, second, third, does("undo", of=first.id), does("add", class_id=2, rle=coded(0, 0, 2, 2)))
    assert sorted(made.defects) == [1, 2, 3, 4]
    assert [(one.number, one.class_id) for one in review.defects.values()] == [(1, 1), (2, 2), (4, 1), (5, 2)]


def test_paint_for_a_defect_that_is_gone_is_left_alone_or_makes_it_anew():
    first = does("add", class_id=2, rle=coded(20, 0, 3, 3))
    after(first)
    without, named = (does("add", "Bob", defect=3, rle=coded(24, 0, 2, 2), **more) for more in ({}, {"class_id": 2}))
    undo = does("undo", of=first.id)
    assert sorted(after(first, without, undo).defects) == [1, 2]
    assert sorted(after(first, named, undo).defects) == [1, 2, 3]
    assert sorted(after(does("add", defect=99, class_id=1, rle=coded(24, 0, 2, 2))).defects) == [1, 2, 3]
