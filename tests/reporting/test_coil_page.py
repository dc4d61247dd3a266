"""The page of a coil: its structure, its data, its size, what hostile names do, and in a browser what a person does."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.coil.drawn import coil, frames, table
from tests.coil.test_grading import PLAN
from utils.coil.coil import Coil
from utils.coil.crops import take_pictures
from utils.coil.grading import grade
from utils.coil.plan import CoilPlan, Roll, Rule
from utils.coil.tables import ARTEFACT_COLUMNS, GROUP_COLUMNS
from utils.reporting.coil_page import LARGEST, as_json, coil_page, pack

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;"


class Page(HTMLParser):
    """Elements, texts and the data of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self.feed(text)
        self.data = json.loads(self.raw["data"])

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[dict(self.tags[-1][1]).get("id") or self.open[-1]] = data
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def column(self, name: str) -> np.ndarray:
        packed = self.data["columns"][name]
        if "same" in packed:
            return np.full(self.data["count"], packed["same"])
        kind = {"u8": "u1", "u16": "<u2", "u32": "<u4", "f32": "<f4"}[packed["kind"]]
        return np.frombuffer(base64.b64decode(packed["data"]), kind) * packed["step"] + packed["begin"]


def grey(name: str) -> np.ndarray:
    return np.random.default_rng(len(name)).integers(0, 255, (120, 200), dtype=np.uint8)


@pytest.fixture(scope="module")
def full() -> Coil:
    """A coil that has everything."""
    rolls = (Roll("F6 top", 600, 640), Roll("F5 top", 600, 640))
    plan = dataclasses.replace(
        PLAN, coil="4711", line="CAL 2", steel="DX51D", rolls=rolls, warn_classes=("hole", "crack")
    )
    groups = table(
        GROUP_COLUMNS,
        [
            {"group": 1, "kind": "patch", "class_name": "scale", "along0": 3e5, "along1": 3.2e5, "across0": 600}
            | {"across1": 610, "defects": 10, "to_tail": True}
        ],
    )
    artefacts = table(
        ARTEFACT_COLUMNS,
        [
            {
                "artefact": 1,
                "camera": "3",
                "x": 812,
                "y": 5,
                "width": 9,
                "height": 8,
                "frames": 40,
                "share": 0.4,
                "expected": 2,
            }
        ],
    )
    words = "10*scale@300+2:600 g1; hole@700:600 a2000; 5*mark@100+2:400 r1; 3*spot@1+1:20 art; ~1:mark@100-340:400"
    made = coil(words + "; gap@400-410; gap:1@500-501", plan, groups=groups, artefacts=artefacts)
    pictures = take_pictures(made.defects, made.order, grey)
    return dataclasses.replace(made, notes=("Frame 12 came twice.",), crops=pictures)


@pytest.fixture(scope="module")
def text(full) -> str:
    """The page of that coil."""
    return coil_page(full)


def test_what_an_earlier_stage_had_already_is_said():
    made = coil("3*dent@5+1:5; hole@9:5 art")
    assert "there already" not in Page(coil_page(made)).text
    made.defects["earlier"] = [4, 0, 9, 2]
    assert "2 there already" in Page(coil_page(made)).text


def test_coil_of_no_length_and_no_image_has_a_page():
    page = Page(coil_page(coil("", CoilPlan(), 0.0, frames=frames(0))))
    assert "No defect was found." in page.text
    assert page.data["length"] == 0


def test_page_says_all_of_the_coil_without_a_script(text):
    page = Page(text)
    assert page.text.count("Coil 4711") >= 2  # title and heading
    for words in ("CAL 2", "DX51D", "hold", "1,000.00 m", "10.00 m not seen", "Frame 12 came twice."):
        assert words in page.text, words
    rows = [[" ".join(cell.split()) for cell in row] for row in page.rows]
    assert ["holesof hole", "hold", "defects", "1", "1", "hole 1 show 1", "700.00 to 700.01 m"] in rows
    assert [row[1:6] for row in rows if row[:1] == ["1"] and "F6 top" in row[1]] == [
        ["F6 topdiameter 637 mm", "mark", "2,000.0 ± 1.5 mm", "+0.10 %", "400 mm"]
    ]
    assert ["1", "patch", "scale", "10", "300.00 to 320.00 m, goes on to the tail", "600 mm to 610 mm", "show"] in rows
    assert [row[:4] for row in rows if "lens or light" in "".join(row)] == [
        ["1", "camera 3, column 812 to 821: lens or light", "5 to 13", "40"]
    ]
    assert ["hole", "defect", "1", "700", "700.01", "299.99", "600", "610", "centre body", "top", "19"] in rows
    assert ["all", "400.00 to 410.00 m", "10.00 m"] in rows
    assert ["1", "500.00 to 501.00 m", "1.00 m"] in rows
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [
        "Grade",
        "Map",
        "Profiles",
        "Repeats",
        "Groups",
        "Defects",
        "Warnings for the next line",
        "Static marks",
        "Not seen",
        "Notes",
    ]
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a" and attrs["href"].startswith("#")}
    anchors = {f"#{attrs['id']}" for tag, attrs in page.tags if tag == "section"}
    assert links == anchors


def test_data_hold_every_defect_gravest_first(full, text):
    page = Page(text)
    ordered = full.defects.iloc[full.order]
    assert page.column("defect").tolist() == ordered["defect"].tolist()
    assert page.column("defect")[0] == 19  # the hole
    assert page.column("along0") == pytest.approx(ordered["along0"].to_numpy(float), abs=0.06)
    assert page.column("across_size") == pytest.approx(
        (ordered["across1"] - ordered["across0"]).to_numpy(float), abs=0.06
    )
    assert page.column("area") == pytest.approx(ordered["area"].to_numpy(float))
    names = [page.data["classes"][int(k)]["key"] for k in page.column("class")]
    assert names == ordered["class_name"].tolist()
    words = page.data["columns"]["image"]["words"]
    assert [words[int(k)] for k in page.column("image")] == ordered["image"].tolist()
    zones = page.column("zones").astype(int)
    assert [zone for bit, zone in enumerate(page.data["zones"]) if zones[0] >> bit & 1] == ["centre", "body"]
    rule = next(rule for rule in page.data["rules"] if rule["name"] == "dense scale")
    bits = np.unpackbits(np.frombuffer(base64.b64decode(rule["bits"]), np.uint8), bitorder="little")[: len(ordered)]
    assert ordered["class_name"].to_numpy()[bits == 1].tolist() == ["scale"] * 10
    assert page.data["gaps"] == [[400_000, 410_000, 0, 1200], [500_000, 501_000, 0, 1200]]


def test_pictures_are_those_of_the_gravest(full, text):
    page = Page(text)
    pictures = page.data["pictures"]
    assert list(pictures["crops"]) == [str(number) for number in full.defects["defect"].iloc[full.order]]
    jpeg, *box, whole = pictures["crops"]["19"]
    assert cv2.imdecode(np.frombuffer(base64.b64decode(jpeg), np.uint8), cv2.IMREAD_GRAYSCALE).shape == (74, 88)
    assert len(box) == 4
    assert whole == 1
    assert pictures["thumbs"]["00700.png"][1:] == [200, 120]
    # Half of the room for pictures: fewer of them, the gravest, and no byte more.
    bare = len(coil_page(dataclasses.replace(full, crops=type(full.crops)())).encode())
    largest = (bare + len(text.encode())) // 2
    smaller = coil_page(full, largest)
    kept = list(Page(smaller).data["pictures"]["crops"])
    assert 0 < len(kept) < len(pictures["crops"])
    assert kept == list(pictures["crops"])[: len(kept)]
    assert len(smaller.encode()) <= largest


def test_defects_that_find_no_room_are_said_to_be_elsewhere():
    text = coil_page(coil("3000*dent@0.1+0.3:5; hole@999:5", PLAN), 110_000)
    page = Page(text)
    assert len(text.encode()) <= 110_000
    assert 0 < page.data["count"] < 3001
    assert page.data["total"] == 3001
    assert page.column("defect")[0] == 3001  # the hole is graver
    assert f"This page holds the {page.data['count']:,} gravest of 3,001 defects" in page.text


def test_hostile_names_stay_text():
    rules = (Rule(HOSTILE, "hold", classes=(HOSTILE,)),)
    plan = dataclasses.replace(PLAN, coil=HOSTILE, line=HOSTILE, steel=HOSTILE, rules=rules, warn_classes=(HOSTILE,))
    made = coil("2*dent@5+1:5", plan)
    for name in ("class_name", "image", "camera", "side"):
        made.defects[name] = HOSTILE
    made = dataclasses.replace(
        made,
        grade=grade(made.defects, made.repeats, plan, made.length, made.frames),
        notes=(HOSTILE,),
        crops=take_pictures(made.defects, made.order, grey),
    )
    page = Page(coil_page(made))
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert [attrs for tag, attrs in page.tags if tag == "img" and not attrs["src"].startswith("data:")] == []
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.data["classes"][0]["key"] == HOSTILE
    assert page.data["columns"]["image"]["words"] == [HOSTILE]
    assert list(page.data["pictures"]["thumbs"]) == [HOSTILE]


def test_names_of_no_utf8_and_those_that_turn_the_text_are_spelled():
    made = coil("2*dent@5+1:5")
    made.defects["image"] = pd.Series(["\udcff.png", "a\u202eb.png"], dtype=object)
    page = Page(coil_page(made))
    assert page.data["columns"]["image"]["words"] == ["\\udcff.png", "a\\u202eb.png"]


def test_only_our_own_script_may_run_and_nothing_is_fetched(text):
    page = Page(text)
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    digest = base64.b64encode(hashlib.sha256(page.raw["script"].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def visible_text(page: Page) -> str:
    units = page.data["units"]
    return page.text + json.dumps({**units, "names": page.data["classes"]})


def test_in_pixels_no_millimetre_and_no_metre_is_printed():
    rules = (Rule("r", "hold", "area", 5), Rule("s", "downgrade", "not_seen", 5))
    plan = CoilPlan(rules=rules, warn_classes=("dent",))
    made = coil("3*dent@5+1:5; ~1:dent@5-90:5; gap@500-600", plan, 1000.0, frames=frames(10, 100.0))
    page = Page(coil_page(made))
    assert not re.search(r"\bk?m+\b|millimet|\bmetre", visible_text(page)), re.findall(r".{20}\bm+\b", page.text)
    assert "no scale given: all lengths in pixels" in page.text
    assert page.data["units"]["along"] == "px"
    assert not re.search(r"[\"'` ]mm?[\"'`]", page.raw["script"])


@pytest.mark.parametrize(
    ("words", "plan", "said"),
    [
        ("", CoilPlan(), "No grade was given: coil.yaml has no rules."),
        ("", PLAN, "none of the 15 rules fired."),
        ("gap@0-1000", PLAN, "No grade was given: no image shows any of the coil."),
    ],
)
def test_coil_without_defects_has_a_page(words, plan, said):
    page = Page(coil_page(coil(words, plan)))
    assert said in " ".join(page.text.split())
    assert "No defect was found." in page.text
    assert "No marks at a fixed step were found." in page.text
    assert page.data["count"] == 0


@pytest.mark.parametrize("resolution", [0.1, 1.0, 0.0])
@pytest.mark.parametrize("values", [[], [7, 7], [-3, 250, 9], [0, 70000], [5, 9e9], [0.25, 1e5 + 0.5]])
def test_packed_columns_come_back(values, resolution):
    packed = pack(np.array(values, float), resolution)
    if "same" in packed:
        assert packed["same"] == (values[0] if values else 0)
        return
    kind = {"u8": "u1", "u16": "<u2", "u32": "<u4", "f32": "<f4"}[packed["kind"]]
    back = np.frombuffer(base64.b64decode(packed["data"]), kind) * packed["step"] + packed["begin"]
    assert back == pytest.approx(values, abs=resolution * 0.51, rel=1e-6)


def test_json_cannot_end_its_element():
    assert "<" not in as_json({HOSTILE: [HOSTILE, "<!--", "\u2028"]})
    assert json.loads(as_json({HOSTILE: HOSTILE})) == {HOSTILE: HOSTILE}


def many(count: int) -> Coil:
    """Return a coil of 10,000 frames and many defects."""
    random = np.random.default_rng(1)
    small = coil("dent@1:5", dataclasses.replace(PLAN, coil="large"), 1e7, frames=frames(10_000))
    defects = pd.concat([small.defects] * count, ignore_index=True)
    defects["along0"] = np.sort(random.uniform(0, 1e7 - 1000, count))
    defects["along1"] = defects["along0"] + random.exponential(60, count)
    defects["across0"] = random.uniform(0, 1100, count)
    defects["across1"] = defects["across0"] + random.exponential(30, count).clip(1, 90)
    defects["area"] = random.exponential(900, count)
    defects["class_name"] = random.choice(["scale", "crack", "scratch", "hole"], count)
    defects["image"] = [f"coil4711_camera1_{int(along // 1000):05d}.png" for along in defects["along0"]]
    defects["defect"] = np.arange(1, count + 1)
    for name in ("x", "y", "width", "height"):
        defects[name] = random.integers(1, 900, count)
    graded = grade(defects, small.repeats, small.plan, 1e7, small.frames)
    return dataclasses.replace(small, defects=defects, grade=graded)


@pytest.mark.slow
@pytest.mark.parametrize("count", [40_000, 150_000])
def test_page_of_ten_thousand_frames_has_at_most_five_megabytes(count):
    made = many(count)
    image = np.random.default_rng(2).integers(0, 255, (600, 1000), dtype=np.uint8)
    made = dataclasses.replace(made, crops=take_pictures(made.defects, made.order, lambda name: image))
    text = coil_page(made)
    assert len(text.encode()) <= LARGEST
    page = Page(text)
    assert page.data["count"] == min(count, page.data["count"])
    assert len(page.data["pictures"]["crops"]) >= 20


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens a coil's page, offline; what the page complains of fails the test."""
    pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    contexts, complaints = [], []

    def show(made: Coil, **options):
        path: Path = tmp_path / "coil.html"
        path.write_text(coil_page(made), encoding="utf-8", errors="backslashreplace")
        context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **options})
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.classList.contains('js')")
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


def inked(page, selector: str = "#canvas") -> np.ndarray:
    """Return what the canvas shows, (H, W, 3)."""
    page.wait_for_timeout(250)
    shot = cv2.imdecode(np.frombuffer(page.locator(selector).screenshot(), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(shot, cv2.COLOR_BGR2RGB)


def where(picture: np.ndarray, colour: str) -> np.ndarray:
    """Return the places of a colour, (N, 2) of row and column."""
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return np.argwhere(np.abs(picture.astype(int) - wanted).max(axis=2) <= 2)


def has(picture: np.ndarray, colour: str) -> bool:
    return len(where(picture, colour)) > 0


@pytest.mark.slow
def test_person_finds_a_defect_and_sees_it(opened, full, text):
    page = opened(full)
    colours = {one["key"]: one["colour"] for one in Page(text).data["classes"]}
    # The gravest is shown at first, with its crop and its image.
    assert page.locator("#one h3").inner_text() == "hole, defect 19"
    assert page.locator("#one img").count() == 2
    assert page.evaluate("[...document.querySelectorAll('#one img')].every(i => i.naturalWidth > 0)")
    assert has(inked(page), colours["hole"])
    # A class goes off, and comes back; static marks are left out until they are asked for.
    page.get_by_role("checkbox", name="hole").uncheck()
    assert not has(inked(page), colours["hole"])
    page.get_by_role("checkbox", name="hole").check()
    assert not has(inked(page), colours["spot"])
    page.get_by_role("checkbox", name="static marks").check()
    assert has(inked(page), colours["spot"])
    page.get_by_role("checkbox", name="static marks").uncheck()
    # The list sorts and finds; a click goes to the map.
    assert page.locator("#listed").inner_text() == "1 to 16 of 16, gravest first"
    page.get_by_role("button", name="From head").click()
    first = page.locator("#list tbody tr").first
    assert "100.00 m" in first.inner_text()
    page.get_by_role("button", name="From head").click()
    assert "700.00 m" in first.inner_text()
    page.locator("#find").fill("scale")
    assert page.locator("#listed").inner_text() == "1 to 10 of 10"
    first.get_by_role("button").click()
    assert page.locator("#one h3").inner_text() == "scale, defect 18"
    assert page.locator("#strip").get_attribute("aria-pressed") == "true"
    assert has(inked(page), colours["scale"])
    assert page.url.endswith("#defect=18")
    # Keys move and zoom.
    before = inked(page)
    page.locator("#canvas").press("ArrowRight")
    assert (inked(page) != before).any()
    page.locator("#canvas").press("n")
    assert page.locator("#one h3").inner_text() == "scale, defect 17"
    page.locator("#canvas").press("0")
    assert page.locator("#rows").get_attribute("aria-pressed") == "true"
    page.locator("#find").fill("")
    # Only what a rule counted, or a series.
    page.locator("#repeats .show").first.click()
    assert "series 1: 5, 100.00 m to 108.01 m" in page.locator("#only").inner_text()
    assert page.locator("#listed").inner_text().startswith("1 to 5 of 5")
    page.locator("#only button").click()
    assert page.locator("#only").is_hidden()
    # A click on the map chooses what lies there, and Escape nothing.
    page.locator("#canvas").press("0")
    page.locator("#canvas").press("Escape")
    assert page.locator("#one").inner_text() == "No defect is chosen."
    y, x = (where(inked(page), colours["hole"]).mean(axis=0)).tolist()
    page.locator("#canvas").click(position={"x": x, "y": y})
    assert page.locator("#one h3").inner_text() == "hole, defect 19"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(1366, 768, "light"), (1366, 768, "dark"), (390, 844, "light"), (1920, 1080, "light")],
)
def test_page_fits_its_screen_and_is_readable(opened, full, width, height, scheme):
    page = opened(full, viewport={"width": width, "height": height}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, back = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in (ink, back)]
    assert abs(light[0] - light[1]) > 150
    assert (light[1] < 60) == (scheme == "dark")
    assert inked(page).std() > 2


@pytest.mark.slow
def test_hostile_names_run_nothing_in_a_browser(opened):
    made = coil("2*dent@5+1:5")
    for name in ("class_name", "image", "camera"):
        made.defects[name] = HOSTILE
    page = opened(dataclasses.replace(made, notes=(HOSTILE,)))
    page.locator("#list tbody button").first.click()
    assert HOSTILE in page.locator("#one").inner_text()
    assert HOSTILE in page.locator("#notes li").inner_text()


@pytest.mark.slow
def test_page_prints_to_a4(opened, full):
    page = opened(full)
    pdf = page.pdf(prefer_css_page_size=True)
    sizes = set(re.findall(rb"/MediaBox ?\[([\d. ]+)\]", pdf))
    assert {tuple(round(float(number)) for number in size.split()) for size in sizes} == {(0, 0, 595, 842)}
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".still img").first.is_visible()
    assert not page.locator("#canvas").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.slow
def test_forty_thousand_defects_are_drawn_in_a_blink(opened):
    page = opened(many(40_000))
    spent = page.evaluate(
        """async () => {
          const begin = performance.now();
          for (let k = 0; k < 5; k++) {
            document.querySelector('[data-class]').click();
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          }
          return (performance.now() - begin) / 5;
        }"""
    )
    assert spent < 3000  # on a busy machine; a tenth of it otherwise
    assert page.locator("#listed").inner_text().startswith("1 to 50 of ")
