"""What a person says about an image: actions one after the other, and the defects as they are after them.

The defects that the network proposed are kept with the first action, so that later thresholds or weights change nothing
of what was reviewed.
"""

import copy
import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from utils.data import rle
from utils.desk.actions import Action
from utils.desk.findings import Finding
from utils.desk.pictures import outline


@dataclass(frozen=True)
class Base:
    """An image as it was when its review began.

    Attributes:
        height: pixels.
        width: pixels.
        class_names: of the masks.
        first_class: number of the first class.
        weights: file that proposed the defects.
        settings: word for weights and thresholds.
        defects: of each proposal the number of its class, its run-length code and its mean probability.
    """

    height: int
    width: int
    class_names: tuple[str, ...]
    first_class: int
    weights: str
    settings: str
    defects: tuple[tuple[int, str, float], ...]

    @classmethod
    def of(cls, finding: Finding, class_names: Sequence[str], first_class: int, weights: str, settings: str) -> "Base":
        """Take what was found in an image as the proposal."""
        rows = finding.defects
        defects = [
            (
                first_class + int(row["class_id"]) - 1,
                rle.encode_part(shape, int(row["x"]), int(row["y"]), finding.height),
                float(row["mean_probability"]),
            )
            for row, shape in zip(rows, finding.shapes(), strict=True)
        ]
        return cls(finding.height, finding.width, tuple(class_names), first_class, weights, settings, tuple(defects))

    def to_json(self) -> str:
        """Write it as the database keeps it."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "Base":
        """Read what ``to_json`` wrote."""
        content = json.loads(text)
        content["class_names"] = tuple(content["class_names"])
        content["defects"] = tuple(tuple(row) for row in content["defects"])
        return cls(**content)

    @property
    def class_ids(self) -> range:
        """The numbers of the classes."""
        return range(self.first_class, self.first_class + len(self.class_names))


@dataclass
class Marked:
    """A defect in a review: pixels of a box in the image."""

    number: int
    class_id: int
    x: int
    y: int
    shape: np.ndarray  # (h, w) bool
    proposed: bool
    probability: float | None
    state: str | None = None  # None, accepted, rejected
    changed: bool = False
    _told: tuple[np.ndarray, dict[str, Any]] | None = field(default=None, repr=False, compare=False)

    def told(self, height: int) -> dict[str, Any]:
        """Return where it lies as a browser gets it, computed once for each shape: every stroke tells all defects.

        Args:
            height: of the image, pixels.
        """
        if self._told is None or self._told[0] is not self.shape:
            rows, columns = self.shape.shape
            self._told = (
                self.shape,
                {
                    "area_px": int(np.count_nonzero(self.shape)),
                    "box": {"x": self.x, "y": self.y, "width": columns, "height": rows},
                    "rle": rle.encode_part(self.shape, self.x, self.y, height),
                    "outline": outline(self.shape, self.x, self.y),
                },
            )
        return self._told[1]


@dataclass
class Review:
    """An image's defects after some actions.

    Attributes:
        base: what was proposed.
        defects: by number, as they are now.
        mark: ``clean``, ``unsure``, ``done`` or None.
        comment: of the last who wrote one.
        actions: those that count, in their order.
    """

    base: Base
    defects: dict[int, Marked] = field(default_factory=dict)
    mark: str | None = None
    comment: str = ""
    actions: list[Action] = field(default_factory=list)
    revision: int = 0
    _next: int = 1

    @classmethod
    def begin(cls, base: Base) -> "Review":
        """Begin with what was proposed."""
        review = cls(base)
        for class_id, code, probability in base.defects:
            x, y, shape = _cut(rle.decode(code, base.height, base.width))
            review.defects[review._next] = Marked(review._next, class_id, x, y, shape, True, probability)
            review._next += 1
        return review

    @classmethod
    def replay(cls, base: Base, actions: Iterable[Action]) -> "Review":
        """Compute the review after all of some actions, undone ones left out."""
        kept: list[Action] = []
        count, last = 0, 0
        for action in actions:
            count += 1
            last = max(last, action.content.get("number", 0))
            if action.kind == "undo":
                _take_back(kept, action)
            else:
                kept.append(action)
        review = cls.begin(base)
        review._next = max(review._next, last + 1)  # nobody else's defect gets the number of one that was undone
        for action in kept:
            review.apply(action)
        review.revision = count
        return review

    def copy(self) -> "Review":
        """Return a review that later actions on this one leave as it is; both share shapes, which are only ever replaced."""
        defects = {number: copy.copy(one) for number, one in self.defects.items()}
        return dataclasses.replace(self, defects=defects, actions=list(self.actions))

    @property
    def state(self) -> str:
        """``open``, ``done``, ``unsure`` or ``clean``.

        Without a mark an image is done when all its defects are judged and one is left. Of one whose every defect was
        rejected nobody knows whether it is clean, or what was missed is still to be painted: a kill in between must not
        make it clean.
        """
        if self.mark is not None:
            return self.mark
        states = [one.state for one in self.defects.values()]
        return "done" if None not in states and "accepted" in states else "open"

    @property
    def found(self) -> tuple[str, ...] | None:
        """Names of the classes that were left, in the order of their numbers; None where the weights have no masks."""
        names = self.base.class_names
        if self.mark == "clean":
            return ()
        if not names:
            return None
        left = {one.class_id for one in self.defects.values() if one.state != "rejected"}
        return tuple(name for class_id, name in zip(self.base.class_ids, names, strict=True) if class_id in left)

    @property
    def verdict(self) -> str | None:
        """``clean`` or ``defective``, as people left the image; None: as the network has it, which nobody can correct."""
        found = self.found
        return None if found is None else "defective" if found else "clean"

    def apply(self, action: Action) -> None:
        """Do what an action says; what it names and is not there any more is left alone.

        A defect that it begins is numbered, and the number stays in the action: other actions name the defect by it, also
        when one before is undone.
        """
        content = action.content
        if action.kind in ("accept", "reject", "class"):
            one = self.defects.get(content["defect"])
            if one is not None:
                one.state = "rejected" if action.kind == "reject" else "accepted"
                if action.kind == "class":
                    one.class_id, one.changed = content["class_id"], True
        elif action.kind == "add":
            self._add(content)
        elif action.kind == "erase":
            self._erase(content)
        elif action.kind == "comment":
            self.comment = content["text"]
        else:
            self.mark = None if action.kind == "open" else action.kind
            if action.kind == "clean":
                for one in self.defects.values():
                    one.state = "rejected"
        if action.kind in ("accept", "class", "add") and self.mark in ("clean", "done"):
            self.mark = None
        self.actions.append(action)

    def masks(self) -> np.ndarray:
        """Draw the defects that were not rejected: ``(C, H, W)`` bool."""
        base = self.base
        masks = np.zeros((len(base.class_names), base.height, base.width), np.bool_)
        for one in self.defects.values():
            if one.state != "rejected":
                rows, columns = one.shape.shape
                masks[one.class_id - base.first_class, one.y : one.y + rows, one.x : one.x + columns] |= one.shape
        return masks

    def _add(self, content: dict[str, Any]) -> None:
        x, y, shape = _cut(self._drawn(content))
        if not shape.size:
            return
        old = self.defects.get(content.get("defect", 0))
        if old is not None:
            old.x, old.y, old.shape = _joined(old, x, y, shape)
            old.state, old.changed = "accepted", True
            return
        if "class_id" not in content:  # paint for a defect that somebody else has removed meanwhile
            return
        number = content.setdefault("number", min(content.get("defect", self._next), self._next))
        self._next = max(self._next, number + 1)
        self.defects[number] = Marked(number, content["class_id"], x, y, shape, False, None, "accepted", True)

    def _erase(self, content: dict[str, Any]) -> None:
        drawn = self._drawn(content)
        for number, one in list(self.defects.items()):
            wanted = content.get("defect", number) == number and content.get("class_id") in (None, one.class_id)
            rows, columns = one.shape.shape
            hit = drawn[one.y : one.y + rows, one.x : one.x + columns].view(np.bool_) & one.shape
            if not wanted or one.state == "rejected" or not hit.any():
                continue
            left = one.shape & ~hit
            one.changed, one.state = True, "accepted"
            if left.any():
                dx, dy, shape = _cut(left.view(np.uint8))
                one.x, one.y, one.shape = one.x + dx, one.y + dy, shape
            elif one.proposed:  # nothing of a proposal is left: that is a rejection, and says so
                one.state = "rejected"
            else:
                del self.defects[number]

    def _drawn(self, content: dict[str, Any]) -> np.ndarray:
        height, width = self.base.height, self.base.width
        if "rle" in content:
            return rle.decode(content["rle"], height, width)
        return fill([np.array(ring, np.float64) for ring in content["polygon"]], height, width)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a browser gets it."""
        height = self.base.height
        return {
            "revision": self.revision,
            "state": self.state,
            "verdict": self.verdict,
            "found": None if self.found is None else list(self.found),
            "defects": [
                {
                    "number": one.number,
                    "class_id": one.class_id,
                    "name": self.base.class_names[one.class_id - self.base.first_class],
                    **one.told(height),
                    "mean_probability": one.probability,
                    "review": one.state,
                    "proposed": one.proposed,
                    "changed": one.changed,
                }
                for one in self.defects.values()
            ],
            "comment": self.comment,
            "weights": self.base.weights,
            "settings": self.base.settings,
            "history": [
                {"id": one.id, "who": one.who, "time": one.time, "kind": one.kind} for one in self.actions[-200:]
            ],
        }


def fill(rings: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Draw the pixels whose centres lie inside of rings by the even-odd rule.

    OpenCV and Pillow draw the outline with the inside, which makes every polygon a pixel too large.

    Args:
        rings: (n, 2) points x, y; whole numbers are corners of pixels.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        (H, W) uint8 of 0 and 1.
    """
    begins = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    # Rows whose line of centres an edge crosses, the upper end counted and the lower one not.
    first = np.ceil(np.minimum(begins[:, 1], ends[:, 1]) - 0.5).clip(0, height).astype(np.int64)
    last = np.ceil(np.maximum(begins[:, 1], ends[:, 1]) - 0.5).clip(0, height).astype(np.int64)
    count = last - first
    edge = np.repeat(np.arange(len(begins)), count)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    (x0, y0), (x1, y1) = begins[edge].T, ends[edge].T
    crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    columns = np.ceil(crossing - 0.5).clip(0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), np.uint8)
    np.bitwise_xor.at(turns, (rows, columns), 1)
    return np.ascontiguousarray(np.bitwise_xor.accumulate(turns, axis=1)[:, :width])


def _take_back(kept: list[Action], undo: Action) -> None:
    """Leave out the action that an undo names, else the last one of the same person."""
    for index in range(len(kept) - 1, -1, -1):
        wanted = kept[index].id == undo.content["of"] if "of" in undo.content else kept[index].who == undo.who
        if wanted:
            del kept[index]
            return


def _cut(plane: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Return where the pixels of a mask, ``(H, W)`` uint8, lie and the box of them."""
    x, y, width, height = cv2.boundingRect(plane)
    return x, y, plane[y : y + height, x : x + width].astype(np.bool_)


def _joined(old: Marked, x: int, y: int, shape: np.ndarray) -> tuple[int, int, np.ndarray]:
    left, top = min(old.x, x), min(old.y, y)
    right = max(old.x + old.shape.shape[1], x + shape.shape[1])
    bottom = max(old.y + old.shape.shape[0], y + shape.shape[0])
    whole = np.zeros((bottom - top, right - left), np.bool_)
    for px, py, part in ((old.x, old.y, old.shape), (x, y, shape)):
        whole[py - top : py - top + part.shape[0], px - left : px - left + part.shape[1]] |= part
    return left, top, whole
