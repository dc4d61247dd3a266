"""The report of a visit to hand over: one content, as an HTML page and as a PDF."""

import datetime
import io
from collections.abc import Callable, Sequence
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


def _tiles(session: Session) -> dict[str, Any]:
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
    sections = [Section("Summary", [Numbers(_tiles(report.session), notes)])]
    if not report.session.images:
        sections[0] = Section("Summary", [Text("No image was inspected.")])
    for title, columns, rows in report.tables:
        sections.append(Section(title, [Table(columns, rows, digits=2)]))
    if report.pictures:
        pictures = [Picture(data, caption, caption) for data, caption in report.pictures]
        sections.append(Section("Pictures", [Row(pictures, 320)]))
    return render(report.title, report.lead, sections).encode("utf-8")


def to_pdf(report: Report) -> bytes:
    """Write a report as a PDF of A4 pages."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.platypus import Image, KeepTogether, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

    _fonts()
    plain = ParagraphStyle("plain", fontName=FONT, fontSize=8, leading=10, splitLongWords=1)
    title = ParagraphStyle("title", parent=plain, fontSize=16, leading=20, spaceAfter=4)
    head = ParagraphStyle("head", parent=plain, fontSize=11, leading=14, spaceBefore=10, spaceAfter=3)
    written = io.BytesIO()
    page = landscape(A4)
    document = SimpleDocTemplate(
        written, pagesize=page, leftMargin=15 * mm, rightMargin=15 * mm, topMargin=14 * mm, bottomMargin=14 * mm,
        title=report.title, author="", invariant=1,
    )  # fmt: skip
    width = page[0] - 30 * mm
    story: list[Any] = [Paragraph(_marked(report.title), title), Paragraph(_marked(report.lead), plain)]
    story += [_grid([list(_tiles(report.session)), list(_tiles(report.session).values())], width, plain)]
    for name, columns, rows in report.tables:
        story += [Paragraph(_marked(name), head), _grid([columns, *rows], width, plain)]
    if report.pictures:
        story.append(Paragraph("Pictures", head))
    for begin in range(0, len(report.pictures), 3):
        line = []
        for data, caption in report.pictures[begin : begin + 3]:
            image = Image(io.BytesIO(data))
            scale = min((width / 3 - 4 * mm) / image.imageWidth, 45 * mm / image.imageHeight)
            image.drawWidth, image.drawHeight = image.imageWidth * scale, image.imageHeight * scale
            line.append([image, Paragraph(_marked(caption), plain)])
        line += [[]] * (3 - len(line))
        table = LongTable([line], colWidths=[width / 3] * 3)
        table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("TEXTCOLOR", (0, 0), (-1, -1), colors.black)]))
        story.append(KeepTogether([table, Spacer(1, 2 * mm)]))

    def number(canvas: Any, page: Any) -> None:
        canvas.setFont(FONT, 7)
        canvas.drawRightString(landscape(A4)[0] - 15 * mm, 8 * mm, f"page {page.page}")

    document.build(story, onFirstPage=number, onLaterPages=number)
    return written.getvalue()


FONT, WIDE_FONT = "DejaVuSans", "STSong-Light"


def _fonts() -> None:
    """Make known a font that has Latin, Greek and Cyrillic letters, and one for Chinese."""
    from pathlib import Path

    import matplotlib
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    if FONT not in pdfmetrics.getRegisteredFontNames():
        folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
        pdfmetrics.registerFont(TTFont(FONT, str(folder / "DejaVuSans.ttf")))
        pdfmetrics.registerFont(UnicodeCIDFont(WIDE_FONT))


def _marked(text: str) -> str:
    """Return a text as the PDF's paragraphs take it, letters of the other font in its marks."""
    from xml.sax.saxutils import escape

    parts: list[str] = []
    for letter in text:
        wide = "\u2e80" <= letter <= "\uffef"
        shown = escape(letter)
        parts.append(f'<font name="{WIDE_FONT}">{shown}</font>' if wide else shown)
    return "".join(parts)


def _grid(rows: Sequence[Sequence[Any]], width: float, style: Any) -> Any:
    """Make a table with a head, as wide as the page."""
    from reportlab.lib import colors
    from reportlab.platypus import LongTable, Paragraph, TableStyle

    from utils.reporting.page import cell

    columns = len(rows[0])
    content = [[Paragraph(_marked(cell(value, 2)[:500]), style) for value in row] for row in rows]
    table = LongTable(content, colWidths=[width / columns] * columns, repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.3, colors.Color(0.8, 0.83, 0.86)),
                ("BACKGROUND", (0, 0), (-1, 0), colors.Color(0.95, 0.96, 0.97)),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
            ]
        )
    )
    return table
