"""The report as a PDF: columns as wide as their texts, and anything that people write."""

import re
import zlib
from base64 import a85decode

import pytest

from tests.desk.desks import bench, strip
from utils.desk.report_pdf import column_widths


@pytest.mark.parametrize(
    ("natural", "widths"),
    [
        ([10, 20], [10, 20]),  # a small table is not stretched
        ([10, 900], [10, 45]),
        ([10, 40, 90, 90], [10, 30, 30, 30]),
        ([60, 60, 60], [100 / 3] * 3),
    ],
)
def test_widest_columns_give_way(natural, widths):
    assert column_widths(natural, 100) == pytest.approx(widths)


def pages(pdf: bytes) -> list[bytes]:
    """Return what is drawn on the pages."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    found = []
    for stream in streams:
        try:
            found.append(zlib.decompress(a85decode(stream.strip().removesuffix(b"~>"))))
        except (ValueError, zlib.error):  # a font, or a picture
            continue
    return [one for one in found if b"BT" in one]


def test_report_has_all_that_was_said_in_any_language():
    with bench() as desk:
        visit = desk.begin(title="Nachtschicht <3> & ночь 夜班")
        desk.add(visit, **{f"a{k:02}": strip(210 + k) for k in range(40)})
        desk.desk.change(visit, {"meta": {"coil_id": "A4711"}})
        desk.act(visit, 1, "comment", text="检查轧辊\nline two <b>" + "x" * 300)
        desk.act(visit, 2, "clean")
        pdf = b"".join(desk.services.taking.download(visit, "report.pdf"))
        html = b"".join(desk.services.taking.download(visit, "report.html")).decode()
        table = b"".join(desk.services.taking.download(visit, "results.csv")).decode()
    assert pdf.startswith(b"%PDF-")
    assert len(pages(pdf)) >= 3
    assert pdf.count(b"/Subtype /Image") == 39
    # The visit was named after its images came.
    assert "A4711" in html
    assert "not named" not in html
    assert table.count("A4711") == 40
