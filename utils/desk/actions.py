"""Actions of a reviewer: what somebody did to an image, checked before it counts."""

import json
import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from utils.data import rle
from utils.errors import InputError

KINDS = ("accept", "reject", "class", "add", "erase", "clean", "unsure", "done", "open", "comment", "undo")
MOST_ACTIONS = 100  # in a request
LONGEST_COMMENT, LONGEST_WHO = 2000, 60  # letters
MOST_POINTS = 20_000  # of a polygon
MOST_CODE = 4_000_000  # letters of a run-length code
MOST_CROSSED = 2_000_000  # rows that all edges of a polygon cross; each takes some 80 bytes to fill


@dataclass(frozen=True)
class Action:
    """What somebody did.

    Attributes:
        id: by which it is known, so that it counts once however often it is sent.
        kind: one of ``KINDS``.
        content: what more it says, checked.
        who: did it.
        time: seconds since 1970.
    """

    id: str
    kind: str
    content: dict[str, Any]
    who: str
    time: float

    def to_json(self) -> str:
        """Write it as the database keeps it."""
        return json.dumps({"kind": self.kind, **self.content})


class Target(Protocol):
    """An image that actions are done to."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def class_ids(self) -> range:
        """The numbers of its classes."""


def check_who(sent: Any) -> str:
    """Check a reviewer's name; raises ``InputError``."""
    plain = isinstance(sent, str) and 0 < len(sent.strip()) <= LONGEST_WHO
    if not plain or not all(letter.isprintable() for letter in sent):
        raise InputError(f"who: expected the reviewer's name, up to {LONGEST_WHO} letters")
    return str(sent.strip())


def check_actions(sent: Any, target: Target, who: str, time: float) -> list[Action]:
    """Check actions that a browser sent.

    Raises:
        InputError: another form, or something that does not fit the image.
    """
    if not isinstance(sent, list) or not 0 < len(sent) <= MOST_ACTIONS:
        raise InputError(f"actions: expected a list of 1 to {MOST_ACTIONS}")
    return [_check_action(one, target, who, time) for one in sent]


def _check_action(sent: Any, target: Target, who: str, time: float) -> Action:
    if not isinstance(sent, dict):
        raise InputError("actions: expected objects with id and kind")
    kind = sent.get("kind")
    if kind not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}")
    try:
        identity = str(uuid.UUID(str(sent.get("id"))))
    except ValueError:
        raise InputError("id: expected a UUID") from None
    wanted = {
        "accept": {"defect"},
        "reject": {"defect"},
        "class": {"defect", "class_id"},
        "add": {"class_id", "rle", "polygon", "defect"},
        "erase": {"class_id", "rle", "polygon", "defect"},
        "comment": {"text"},
        "undo": {"of"},
    }.get(kind, set())
    if unknown := sorted(set(sent) - wanted - {"id", "kind"}):
        raise InputError(f"{kind}: {unknown[0][:40]!r} is unknown")
    content = {name: sent[name] for name in wanted if sent.get(name) is not None}
    _check_content(kind, content, target)
    return Action(identity, kind, content, who, time)


def _check_content(kind: str, content: dict[str, Any], target: Target) -> None:
    if kind in ("accept", "reject", "class") and "defect" not in content:
        raise InputError(f"{kind}: names no defect")
    if "defect" in content and (type(content["defect"]) is not int or content["defect"] < 1):
        raise InputError(f"{kind}: defect: expected a number from 1")
    if kind in ("class", "add") and "class_id" not in content and "defect" not in content:
        raise InputError(f"{kind}: names no class_id")
    if kind == "class" and "class_id" not in content:
        raise InputError("class: names no class_id")
    if "class_id" in content and (type(content["class_id"]) is not int or content["class_id"] not in target.class_ids):
        known = ", ".join(map(str, target.class_ids))
        raise InputError(f"{kind}: class_id: expected one of {known}")
    if kind in ("add", "erase"):
        _check_drawn(kind, content, target)
    if kind == "comment":
        text = content.get("text", "")
        if not isinstance(text, str) or len(text) > LONGEST_COMMENT or not _is_writable(text):
            raise InputError(f"comment: expected a text of up to {LONGEST_COMMENT} letters, no control characters")
        content["text"] = text
    if kind == "undo" and "of" in content and not isinstance(content["of"], str):
        raise InputError("undo: of: expected the id of an action")


def _check_drawn(kind: str, content: dict[str, Any], target: Target) -> None:
    if ("rle" in content) == ("polygon" in content):
        raise InputError(f"{kind}: expected either rle or polygon")
    if "rle" in content:
        code = content["rle"]
        if not isinstance(code, str) or len(code) > MOST_CODE:
            raise InputError(f"{kind}: rle: expected a run-length code of up to {MOST_CODE} letters")
        rle.parse(code, target.height, target.width)
        return
    rings = content["polygon"]
    if isinstance(rings, list) and rings and _is_point(rings[0]):
        rings = content["polygon"] = [rings]  # one ring, as most are
    right = isinstance(rings, list) and rings and all(isinstance(ring, list) and len(ring) >= 3 for ring in rings)
    if not right or sum(map(len, rings)) > MOST_POINTS or not all(_is_point(point) for ring in rings for point in ring):
        raise InputError(f"{kind}: polygon: expected rings of 3 or more points [x, y], {MOST_POINTS} in all")
    if any(not (-1 <= x <= target.width + 1 and -1 <= y <= target.height + 1) for ring in rings for x, y in ring):
        raise InputError(f"{kind}: polygon: a point lies outside of the image")
    if sum(abs(ring[index][1] - ring[index - 1][1]) for ring in rings for index in range(len(ring))) > MOST_CROSSED:
        raise InputError(f"{kind}: polygon: its edges go up and down too often; draw a simpler one")


def _is_writable(text: str) -> bool:
    """Check that a text can be written to any file; half of a pair of surrogates cannot."""
    return all(letter in "\n\r\t" or (ord(letter) >= 32 and not "\ud800" <= letter <= "\udfff") for letter in text)


def _is_point(sent: Any) -> bool:
    return (
        isinstance(sent, list)
        and len(sent) == 2
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in sent)
        and all(abs(number) < 1e6 for number in sent)
    )
