"""The numbers of a visit as a shift hands them over: by class, shift and coil, what was reviewed, what was said."""

import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.desk.desk import Desk
from utils.desk.findings import Finding
from utils.desk.image_table import Filter
from utils.desk.review import Review
from utils.desk.visits import Visit

SHIFTS = ((6, "morning"), (14, "late"), (22, "night"))  # begins at this hour, in the server's time


@dataclass(frozen=True)
class Judged:
    """An image as it was left: by a reviewer, else by the network.

    Attributes:
        key: of the image.
        name: of the file.
        sha256: of the file.
        verdict: ``NG``, ``OK`` or ``unsure``.
        proposed: ``clean`` or ``defective``, by the network.
        review: state of the review; "" where nobody looked.
        who: reviewed it last.
        time: of that, seconds since 1970; else when the image came.
        comment: of the reviewer.
        meta: context of the image.
        classes: name -> (defects, pixels).
        probability: the best of a defect.
    """

    key: int
    name: str
    sha256: str
    verdict: str
    proposed: str
    review: str
    who: str
    time: float
    comment: str
    meta: dict[str, Any]
    classes: dict[str, tuple[int, int]]
    probability: float

    @property
    def shift(self) -> str:
        """The shift that an image belongs to: as its context says, else by its time."""
        return str(self.meta.get("shift") or shift_of(self.time))

    @property
    def coil(self) -> str:
        """The coil that an image is of; "" where nobody said."""
        return str(self.meta.get("coil_id", ""))


@dataclass
class Session:
    """The numbers of a visit.

    Attributes:
        images: all of them that were inspected.
        by_class: name -> images, defects, pixels.
        by_shift: shift -> images, NG images.
        by_coil: likewise.
        proposed: images that the network found defective.
        reviewed: images that somebody looked at.
        changed: reviewed images whose verdict is not the network's.
        refused: images that could not be inspected.
        waiting: images that were not inspected yet.
        who: reviewer -> images.
    """

    images: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    by_class: dict[str, Counter[str]] = field(default_factory=dict)
    by_shift: dict[str, Counter[str]] = field(default_factory=dict)
    by_coil: dict[str, Counter[str]] = field(default_factory=dict)
    proposed: int = 0
    reviewed: int = 0
    changed: int = 0
    refused: int = 0
    waiting: int = 0
    who: Counter[str] = field(default_factory=Counter)

    def count(self, one: Judged) -> None:
        """Count an image."""
        self.images += 1
        self.verdicts[one.verdict] += 1
        self.proposed += one.proposed == "defective"
        if one.review not in ("", "open"):
            self.reviewed += 1
            self.who[one.who] += 1
            self.changed += (one.verdict == "NG") != (one.proposed == "defective")
        for name, (defects, area) in one.classes.items():
            of_class = self.by_class.setdefault(name, Counter())
            of_class.update(images=1, defects=defects, area_px=area)
        for groups, name in ((self.by_shift, one.shift), (self.by_coil, one.coil)):
            groups.setdefault(name, Counter()).update({"images": 1, one.verdict: 1})

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values."""
        return {
            "images": self.images,
            "verdicts": {name: self.verdicts[name] for name in ("NG", "OK", "unsure")},
            "proposed": self.proposed,
            "reviewed": self.reviewed,
            "changed": self.changed,
            "refused": self.refused,
            "waiting": self.waiting,
            "by_class": {name: dict(counts) for name, counts in self.by_class.items()},
            "by_shift": {name: dict(counts) for name, counts in self.by_shift.items()},
            "by_coil": {name: dict(counts) for name, counts in self.by_coil.items()},
            "who": dict(self.who),
        }


def shift_of(time: float) -> str:
    """Return day and shift of a time, as "2026-05-04 morning"; a night belongs to the day that it began on."""
    local = datetime.datetime.fromtimestamp(time)
    name = next((name for hour, name in reversed(SHIFTS) if local.hour >= hour), SHIFTS[-1][1])
    day = local.date() - datetime.timedelta(days=local.hour < SHIFTS[0][0])
    return f"{day.isoformat()} {name}"


def judge(row: dict[str, Any], finding: Finding, review: Review | None, class_names: tuple[str, ...]) -> Judged:
    """Return an image as it was left.

    Args:
        row: of the image.
        finding: what the network found.
        review: what people said; None: nothing.
        class_names: of the finding's masks.
    """
    state, who, time = "", "", row["added"]
    if row["review"]:
        state, who, time = row["review"]["state"], row["review"]["who"], row["review"]["time"]
    classes: dict[str, tuple[int, int]] = {}
    if review is None or state == "" or not review.base.class_names:  # nobody can correct what has no masks
        for index, name in enumerate(class_names):
            areas = finding.defects["area_px"][finding.defects["class_id"] == index + 1]
            if len(areas):
                classes[name] = len(areas), int(areas.sum())
        if not class_names:
            classes = dict.fromkeys(finding.found, (0, 0))
        ng = finding.verdict == "defective" and state != "clean"
        if state == "clean":
            classes = {}
    else:
        for one in review.defects.values():
            if one.state != "rejected":
                name = review.base.class_names[one.class_id - review.base.first_class]
                defects, area = classes.get(name, (0, 0))
                classes[name] = defects + 1, area + int(np.count_nonzero(one.shape))
        ng = bool(classes) and state != "clean"
    verdict = "unsure" if state == "unsure" else "NG" if ng else "OK"
    comment = review.comment if review else ""
    return Judged(
        int(row["key"]),
        row["name"],
        row["sha256"],
        verdict,
        finding.verdict,
        state,
        who,
        time,
        comment,
        row["meta"],
        classes,
        finding.probability,
    )


class Sessions:
    """Counts visits.

    Args:
        desk: that has them.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def judged(self, visit: Visit, since: float = 0.0, who: str = "") -> Iterator[Judged]:
        """Yield the images of a visit as they were left, samples left out.

        Args:
            visit: which.
            since: those that came or were reviewed from then on, seconds since 1970.
            who: those that this person reviewed; "" all.
        """
        for key in self.desk.images.keys(visit.id):
            row = self.desk.images.row(visit.id, key)
            finding, _ = self.desk.images.finding(visit.id, key)
            if row is None or finding is None or row["status"] != "done":
                continue
            review = self.desk.reviews.find(row["sha256"]) if row["review"] else None
            row["meta"] = {**visit.meta, **row["meta"]}  # the visit may have been named after its images came
            one = judge(row, finding, review, visit.about.class_names)
            if one.time >= since and (not who or one.who == who):
                yield one

    def session(self, identity: str, since: float = 0.0, who: str = "") -> dict[str, Any]:
        """Return the numbers of a visit."""
        visit = self.desk.visit(identity)
        session = self.counted(visit, self.judged(visit, since, who))
        return {**session.to_dict(), "weights": visit.about.file, "sha8": visit.about.sha8, "settings": visit.settings}

    def counted(self, visit: Visit, judged: Iterator[Judged]) -> Session:
        """Count images."""
        session = Session()
        for one in judged:
            session.count(one)
        counts = self.desk.images.counts(visit.id, visit.settings)
        session.refused, session.waiting = counts["refused"], counts["waiting"]
        return session

    def refused(self, visit: Visit) -> list[tuple[str, str]]:
        """List images that could not be inspected, and why."""
        _, rows = self.desk.images.listed(visit.id, Filter(verdict="refused", samples=False), "old", 500, 0)
        return [(row["name"], row["reason"]) for row in rows]
