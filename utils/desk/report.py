"""The report of a visit to hand over: its content, and the HTML page; ``report_pdf`` makes the PDF."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from utils.desk.session import Judged, Session, Sessions
from utils.desk.visits import Visit
from utils.reporting.overlays import class_label
from utils.reporting.page import Numbers, Picture, Row, Section, Table, Text, render

MOST_PICTURES = 120  # NG images that are shown; all are listed
MOST_LISTED = 2000  # rows of the table of NG images

Rows = list[list[Any]]


@dataclass(frozen=True)
class Report:
    """What a report says.

    Attributes:
        title: of the visit.
        lead: what was looked at, with what, and when.
        session: the numbers.
        tables: title, columns and rows of each.
        pictures: of NG images: JPEG and what stands below it.
    """

    title: str
    lead: str
    session: Session
    tables: list[tuple[str, list[str], Rows]]
    pictures: list[tuple[bytes, str]]


def make_report(sessions: Sessions, visit: Visit, thumb: Callable[[int], bytes], version: str) -> Report:
    """Put the report of a visit together.

    Args:
        sessions: count it.
        visit: which.
        thumb: gives the small picture of an image by its key.
        version: of the program.
    """
    found: list[Judged] = []
    session = Session()
    for one in sessions.judged(visit):
        session.count(one)
        if one.verdict != "OK" or one.comment:
            found.append(one)
    counts = sessions.desk.images.counts(visit.id, visit.settings)
    session.refused, session.waiting = counts["refused"], counts["waiting"]
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    about = visit.about
    context = ", ".join(f"{name} {value}" for name, value in visit.meta.items())
    lead = (
        f"{session.images} images, {session.reviewed} of them reviewed; weights {about.file}"
        f"{f' (sha256 {about.sha8}...)' if about.sha8 else ''}, thresholds {visit.settings}; {now}; program {version}"
        f"{f'; {context}' if context else ''}."
    )
    listed = [one for one in found if one.verdict != "OK"]
    tables: list[tuple[str, list[str], Rows]] = [
        (
            "Classes",
            ["class", "images", "defects", "pixels"],
            [
                [class_label(name, 0), counts["images"], counts["defects"], counts["area_px"]]
                for name, counts in session.by_class.items()
            ],
        ),
        ("Shifts", ["shift", "images", "NG", "OK", "unsure"], _groups(session.by_shift)),
        ("Coils", ["coil", "images", "NG", "OK", "unsure"], _groups(session.by_coil, "not named")),
        (
            "NG images",
            ["image", "verdict", "classes", "pixels", "coil", "reviewed by", "remark"],
            [
                [
                    one.name,
                    one.verdict,
                    ", ".join(class_label(name, 0) for name in one.classes),
                    sum(area for _, area in one.classes.values()),
                    one.coil,
                    one.who if one.review else "",
                    one.comment,
                ]
                for one in listed[:MOST_LISTED]
            ],
        ),
        (
            "Remarks on other images",
            ["image", "reviewed by", "remark"],
            [[one.name, one.who, one.comment] for one in found if one.verdict == "OK"],
        ),
        ("Reviewers", ["who", "images"], [[who, count] for who, count in session.who.most_common()]),
        ("Not inspected", ["image", "reason"], [list(pair) for pair in sessions.refused(visit)]),
        (
            "Thresholds",
            ["class", "probability from", "somewhere from", "smallest area, px", "largest area, px"],
            [
                [class_label(name, 0), one.threshold, one.high_threshold or None, one.min_area, one.max_area]
                for name, one in zip(about.class_names, visit.decision.per_class, strict=True)
            ]
            + [[f"{name} (whole image)", t, None, None, None] for name, t in _labels(visit)],
        ),
    ]
    pictures = [
        (thumb(one.key), f"{one.name}: {', '.join(class_label(n, 0) for n in one.classes) or one.verdict}")
        for one in listed[:MOST_PICTURES]
    ]
    return Report(visit.title or "Inspection", lead, session, [table for table in tables if table[2]], pictures)


def _labels(visit: Visit) -> list[tuple[str, float]]:
    return list(zip(visit.about.label_names, visit.about.label_thresholds, strict=True))


def _groups(groups: dict[str, Any], nameless: str = "") -> Rows:
    return [
        [name or nameless, counts["images"], counts["NG"], counts["OK"], counts["unsure"]]
        for name, counts in sorted(groups.items())
    ]


def tiles(session: Session) -> dict[str, int]:
    """Return the numbers that come first."""
    return {
        "images": session.images,
        "NG": session.verdicts["NG"],
        "OK": session.verdicts["OK"],
        "unsure": session.verdicts["unsure"],
        "reviewed": session.reviewed,
        "not inspected": session.refused + session.waiting,
    }


def to_html(report: Report) -> bytes:
    """Write a report as one HTML page that needs nothing else."""
    notes = {
        "NG": "with a defect that nobody rejected",
        "reviewed": f"verdict changed in {report.session.changed}",
        "not inspected": f"{report.session.refused} refused, {report.session.waiting} waiting",
    }
    sections = [Section("Summary", [Numbers(tiles(report.session), notes)])]
    if not report.session.images:
        sections[0] = Section("Summary", [Text("No image was inspected.")])
    for title, columns, rows in report.tables:
        sections.append(Section(title, [Table(columns, rows, digits=2)]))
    if report.pictures:
        pictures = [Picture(data, caption, caption) for data, caption in report.pictures]
        sections.append(Section("Pictures", [Row(pictures, 320)]))
    return render(report.title, report.lead, sections).encode("utf-8")
