"""What may not be sent as an action, and what the actions of a reviewer say."""

import uuid

import pytest

from utils.desk.actions import Action, check_actions, check_who
from utils.desk.review import Base
from utils.errors import InputError

BASE = Base(20, 30, ("pits", "cracks"), 1, "w.pth", "s", ())
SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4]]
ID = "12345678-1234-4234-8234-123456789abc"


@pytest.mark.parametrize(
    "sent",
    [
        None,
        {},
        [],
        ["accept"],
        [{"id": ID, "kind": "drop"}],
        [{"id": "1", "kind": "clean"}],
        [{"kind": "clean"}],
        [{"id": ID, "kind": "accept"}],
        [{"id": ID, "kind": "accept", "defect": "1"}],
        [{"id": ID, "kind": "accept", "defect": True}],
        [{"id": ID, "kind": "accept", "defect": 1, "who": "Eve"}],
        [{"id": ID, "kind": "class", "defect": 1}],
        [{"id": ID, "kind": "class", "defect": 1, "class_id": 3}],
        [{"id": ID, "kind": "add", "class_id": 1}],
        [{"id": ID, "kind": "add", "class_id": 1, "rle": "1 2", "polygon": SQUARE}],
        [{"id": ID, "kind": "add", "class_id": 1, "rle": "600 2"}],
        [{"id": ID, "kind": "add", "class_id": 1, "rle": "2 1 1 1"}],
        [{"id": ID, "kind": "add", "class_id": 1, "polygon": [[0, 0], [1, 1]]}],
        [{"id": ID, "kind": "add", "class_id": 1, "polygon": [[0, 0], [1, 1], [0, float("nan")]]}],
        [{"id": ID, "kind": "add", "class_id": 1, "polygon": [[0, 0], [1, 1], [0, 900]]}],
        [{"id": ID, "kind": "add", "class_id": 1, "polygon": [SQUARE * 6000]}],
        [{"id": ID, "kind": "comment", "text": "x" * 2001}],
        [{"id": ID, "kind": "undo", "of": 3}],
        [{"id": ID, "kind": "clean"}] * 101,
    ],
)
def test_what_is_no_action_is_refused(sent):
    with pytest.raises(InputError):
        check_actions(sent, BASE, "Ann", 0.0)


@pytest.mark.parametrize("who", ["", "  ", None, 3, "x" * 61, "a\nb"])
def test_who_needs_a_name(who):
    with pytest.raises(InputError):
        check_who(who)


def checked(kind: str, **content) -> Action:
    (action,) = check_actions([{"id": str(uuid.uuid4()), "kind": kind, **content}], BASE, "Ann", 1.0)
    return action


@pytest.mark.parametrize("text", ["\ud800", "a\x01b", "\x1b[31m", "a\0"])
def test_remarks_that_no_file_can_hold_are_refused(text):
    with pytest.raises(InputError, match="control"):
        checked("comment", text=text)
    assert checked("comment", text="two\nlines, \U0001f600").content


def test_polygons_that_cost_too_much_are_refused():
    high = Base(4000, 10, ("pits",), 1, "w.pth", "s", ())
    sent = [
        {"id": str(uuid.uuid4()), "kind": "add", "class_id": 1, "polygon": [[k % 9, k % 2 * 4000] for k in range(600)]}
    ]
    with pytest.raises(InputError, match="simpler"):
        check_actions(sent, high, "Ann", 1.0)
