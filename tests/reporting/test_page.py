"""A report page: complete in one file, well-formed, and safe against whatever a class or file is called."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from utils.reporting.page import Numbers, Picture, Plot, Row, Section, Table, Text, cell, render, write_page
from utils.reporting.plots import draw_curves

VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """Collects ids, links and picture sources, and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            assert values["alt"]
            self.sources.append(values["src"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data.strip())


def png() -> bytes:
    return cv2.imencode(".png", np.zeros((4, 6), np.uint8))[1].tobytes()


def a_page(name: str = "pits") -> str:
    figure = draw_curves([(name, [0, 1], [0, 1])], "x in px", "share")
    picture = Picture(png(), f"strip with {name}", name)
    return render(
        f"Report on {name}",
        "4 images",
        [
            Section(
                "In short",
                [Text(f"About {name}."), Numbers({name: 0.5, "images": 12568}, {name: "a note"}), picture],
            ),
            Section("Per class: Dice & IoU", [Table(["class", "Dice"], [[name, 0.25], ["other", None]], "Scores")]),
            Section("Curves", [Plot(figure, "a curve", name), Row([picture, Table(["a"], [[1]])])]),
        ],
    )


def test_page_is_well_formed_and_its_contents_lead_to_its_sections():
    outline = Outline(a_page())
    assert outline.ids == ["in-short", "per-class-dice-iou", "curves"]
    assert outline.links == [f"#{anchor}" for anchor in outline.ids]
    for words in ("Report on pits", "About pits.", "0.5000", "12,568", "a note", "Per class: Dice & IoU", "-"):
        assert words in outline.words


def test_page_needs_nothing_but_itself():
    text = a_page()
    assert "<script" not in text
    assert not re.search(r"""(?:href|src)\s*=\s*["'](?!#|data:)|url\(|@import|https?:""", text)
    sources = Outline(text).sources
    assert [source.split(";")[0] for source in sources] == [
        "data:image/png",
        "data:image/svg+xml",
        "data:image/png",
    ]
    assert base64.b64decode(sources[0].split(",")[1]) == png()


def test_names_are_text_wherever_they_stand():
    name = """<script>alert("1")</script> 'a' & b"""
    text = a_page(name)
    assert "<script" not in text
    words = Outline(text).words
    assert words.count(name) >= 4


def test_equal_content_gives_equal_bytes(tmp_path):
    assert a_page() == a_page()
    write_page(tmp_path / "sub/report.html", "t", "l", [Section("s", [Text("é")])])
    assert "<p>é</p>" in (tmp_path / "sub/report.html").read_text("utf-8")


def test_sections_of_equal_title_are_refused():
    with pytest.raises(ValueError, match="equal title"):
        render("t", "l", [Section("a b", []), Section("A  B", [])])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (np.float32("nan"), "-"),
        (True, "yes"),
        (12568, "12,568"),
        (np.int64(1234), "1,234"),
        (0.91234, "0.9123"),
        (np.float64(1234.5), "1,234.5000"),
        ("a", "a"),
    ],
)
def test_values_are_written_for_readers(value, text):
    assert cell(value) == text


TABLE = Table(
    ["area", "name", "dice"],
    [["1,000 to 2,999", "b", 0.5], ["300 to 999", "A", None], ["10,000 or more", "c", 0.25], ["all", "d", 0.3]],
    last=1,
)


def test_rows_know_their_places_by_each_column():
    assert TABLE.sorts
    assert TABLE.ranks == ["--c0:2;--c1:2;--c2:2", "--c0:1;--c1:1;--c2:3", "--c0:3;--c1:3;--c2:1", ""]
    assert not Table(["a"], [[1], [2]]).sorts
    assert not Table([str(k) for k in range(13)], [list(range(13))] * 5).sorts


def test_tables_sort_in_a_browser_without_a_script(browser, tmp_path):
    write_page(tmp_path / "page.html", "title", "lead", [Section("One", [TABLE, TABLE])])
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert "<script" not in page.content()

    def order(table: int) -> list[str]:
        rows = page.locator("table").nth(table).locator("tbody tr").all()
        names = [(row.bounding_box()["y"], row.locator("td").nth(1).inner_text()) for row in rows]
        return [name for _, name in sorted(names)]

    assert order(0) == ["b", "A", "c", "d"]
    for label, expected in (
        ("sort by area, smallest first", ["A", "b", "c", "d"]),
        ("sort by area, largest first", ["c", "b", "A", "d"]),
        ("sort by dice, smallest first", ["c", "b", "A", "d"]),
        ("sort by name, largest first", ["c", "b", "A", "d"]),
    ):
        page.get_by_label(label).first.check()
        assert order(0) == expected
        assert order(1) == ["b", "A", "c", "d"]
    page.close()
