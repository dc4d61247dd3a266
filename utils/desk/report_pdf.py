"""The report of a visit as a PDF of A4 pages."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from utils.desk.report import Report, tiles
from utils.reporting.page import cell

FONT, BOLD, WIDE_FONT = "DejaVuSans", "DejaVuSans-Bold", "STSong-Light"
SIZE = 8  # points
PADDING = 4.0  # points at each side of a cell
WIDEST = 0.45  # of the page, that a column takes before its text goes on in the next line
LONGEST = 500  # letters of a cell
ROOM = 28  # millimetres that a heading and the first rows below it need
PICTURES = 3  # side by side
GREY, LINE, GROUND = "#5b6570", "#cfd6dd", "#f1f4f7"
COLOURS = {"NG": "#b3261e", "OK": "#0b6b45"}


def to_pdf(report: Report) -> bytes:
    """Write a report as a PDF of A4 pages."""
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.platypus import CondPageBreak, Paragraph, SimpleDocTemplate, Spacer

    _fonts()
    plain = ParagraphStyle("plain", fontName=FONT, fontSize=SIZE, leading=10.5, splitLongWords=1)
    lead = ParagraphStyle("lead", parent=plain, textColor=GREY)
    title = ParagraphStyle("title", parent=plain, fontName=BOLD, fontSize=17, leading=21, spaceAfter=3)
    head = ParagraphStyle("head", parent=plain, fontName=BOLD, fontSize=11, leading=14, spaceBefore=12, spaceAfter=4)  # fmt: skip
    written = io.BytesIO()
    page, side = landscape(A4), 15 * mm
    document = SimpleDocTemplate(
        written, pagesize=page, leftMargin=side, rightMargin=side, topMargin=14 * mm, bottomMargin=16 * mm,
        title=report.title, author="", invariant=1,
    )  # fmt: skip
    width = page[0] - 2 * side - 12  # reportlab leaves 6 points at each side of its frame
    story: list[Any] = [Paragraph(_marked(report.title), title), Paragraph(_marked(report.lead), lead), Spacer(1, 8)]
    story.append(_numbers(tiles(report.session), width, plain))
    for name, columns, rows in report.tables:
        story += [CondPageBreak(ROOM * mm), Paragraph(_marked(name), head), _grid(columns, rows, width, plain)]
    if report.pictures:
        story += [CondPageBreak(2 * ROOM * mm), Paragraph("Pictures", head), *_pictures(report.pictures, width, plain)]

    def foot(canvas: Any, page_of: Any) -> None:
        canvas.setFont(FONT, 7)
        canvas.setFillColor(GREY)
        canvas.drawRightString(page[0] - side - 6, 9 * mm, f"page {page_of.page}")
        line = Paragraph(_marked(report.title), ParagraphStyle("foot", parent=lead, fontSize=7))
        line.wrapOn(canvas, width - 60, 12)
        line.drawOn(canvas, side + 6, 8.4 * mm)

    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return written.getvalue()


def column_widths(natural: Sequence[float], width: float) -> list[float]:
    """Return the widths of a table's columns.

    Args:
        natural: points that each column would take in one line.
        width: points that there are.

    Returns:
        Points: as they would be, the widest bounded; where that is too much, the widest ones give way first.
    """
    widths = [min(one, WIDEST * width) for one in natural]
    while (surplus := sum(widths) - width) > 1e-6:
        widest = max(widths)
        largest = [index for index, one in enumerate(widths) if one > widest - 1e-6]
        below = max((one for one in widths if one <= widest - 1e-6), default=0.0)
        step = min(widest - below, surplus / len(largest))
        for index in largest:
            widths[index] -= step
    return widths


def _fonts() -> None:
    """Make known fonts that have Latin, Greek and Cyrillic letters, and one for Chinese."""
    import matplotlib
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    if FONT not in pdfmetrics.getRegisteredFontNames():
        folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
        for name in (BOLD, FONT):
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
        pdfmetrics.registerFont(UnicodeCIDFont(WIDE_FONT))


def _is_wide(letter: str) -> bool:
    return "\u2e80" <= letter <= "\uffef"


def _marked(text: str) -> str:
    """Return a text as the PDF's paragraphs take it, letters of the other font in its marks."""
    return "".join(
        f'<font name="{WIDE_FONT}">{escape(letter)}</font>' if _is_wide(letter) else escape(letter) for letter in text
    )


def _length(text: str, font: str) -> float:
    """Return how many points a text takes in one line."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    wide = sum(map(_is_wide, text))
    plain = "".join(letter for letter in text if not _is_wide(letter))
    return float(stringWidth(plain, font, SIZE)) + wide * SIZE + 1


def _numbers(numbers: dict[str, int], width: float, style: Any) -> Any:
    """Make the large numbers at the head."""
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph, Table, TableStyle

    small = ParagraphStyle("small", parent=style, textColor=GREY)
    line = []
    for name, number in numbers.items():
        colour = COLOURS.get(name, "#1b2229") if number else GREY
        large = ParagraphStyle(f"large {name}", parent=style, fontName=BOLD, fontSize=17, leading=21, textColor=colour)
        line.append([Paragraph(f"{number:,}", large), Paragraph(_marked(name), small)])
    table = Table([line], colWidths=[width / len(line)] * len(line))
    table.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), GROUND),
                ("LINEAFTER", (0, 0), (-2, -1), 3, "#ffffff"),
                ("LEFTPADDING", (0, 0), (-1, -1), 9),
                ("TOPPADDING", (0, 0), (-1, -1), 5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
            ]
        )
    )
    return table


def _grid(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: float, style: Any) -> Any:
    """Make a table with a head that comes again on each page; numbers stand at the right."""
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import LongTable, Paragraph, TableStyle

    numeric = [all(isinstance(row[index], int | float | None) for row in rows) for index in range(len(columns))]
    texts = [[cell(value, 2)[:LONGEST] for value in row] for row in rows]
    styles = [
        (ParagraphStyle("cell", parent=style, **aligned), ParagraphStyle("top", parent=style, fontName=BOLD, **aligned))
        for aligned in ({"alignment": TA_RIGHT} if one else {} for one in numeric)
    ]
    natural = [
        max([_length(name, BOLD), *(max(_length(line, FONT) for line in row[index].split("\n")) for row in texts)])
        + 2 * PADDING
        for index, name in enumerate(columns)
    ]
    content = [[Paragraph(_marked(name), top) for name, (_, top) in zip(columns, styles, strict=True)]]
    content += [[Paragraph(_marked(text), one) for text, (one, _) in zip(row, styles, strict=True)] for row in texts]
    table = LongTable(content, colWidths=column_widths(natural, width), repeatRows=1, hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("BACKGROUND", (0, 0), (-1, 0), GROUND),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                ("LEFTPADDING", (0, 0), (-1, -1), PADDING),
                ("RIGHTPADDING", (0, 0), (-1, -1), PADDING),
            ]
        )
    )
    return table


def _pictures(pictures: Sequence[tuple[bytes, str]], width: float, style: Any) -> list[Any]:
    """Lay pictures out in lines that no page breaks."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Image, KeepTogether, Paragraph, Spacer, Table

    lines: list[Any] = []
    for begin in range(0, len(pictures), PICTURES):
        line: list[Any] = []
        for data, caption in pictures[begin : begin + PICTURES]:
            image = Image(io.BytesIO(data), hAlign="LEFT")
            scale = min((width / PICTURES - 4 * mm) / image.imageWidth, 45 * mm / image.imageHeight)
            image.drawWidth, image.drawHeight = image.imageWidth * scale, image.imageHeight * scale
            line.append([image, Spacer(1, 2), Paragraph(_marked(caption), style)])
        line += [""] * (PICTURES - len(line))
        table = Table([line], colWidths=[width / PICTURES] * PICTURES, hAlign="LEFT")
        table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)])
        lines.append(KeepTogether([table, Spacer(1, 2 * mm)]))
    return lines
