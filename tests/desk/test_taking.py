"""What is taken along is what the command line gives, and says who decided what by what."""

import csv
import io
import re
import zipfile

import pytest

from tests.desk.desks import Bench, bench, strip
from utils.decision.decision import Decision
from utils.desk.desk import NotHere
from utils.errors import InputError
from utils.inference.inspected import Inspected
from utils.inference.outputs import Defects, Submission, encode_png, index_mask_of, overlay_of
from utils.inspection.upload import Upload
from utils.weights.weights_file import load

IMAGES = {"a": strip(), "b": strip(100), "c": strip(5, box=(0, 0, 60, 20))}


@pytest.fixture
def desk():
    with bench() as made:
        yield made


def taken(desk: Bench, visit: str, name: str) -> bytes:
    return b"".join(desk.services.taking.download(visit, name))


def test_tables_and_pictures_are_those_of_the_command_line(desk, tmp_path):
    visit = desk.begin()
    desk.add(visit, **IMAGES)
    desk.services.adding.add_samples(visit)  # strips that are in no download
    desk.wait(visit)
    answers = desk.inspector.inspect([Upload(f"{name}.png", data) for name, data in IMAGES.items()], keep_logits=True)
    about = desk.inspector.about
    for table in (Submission(tmp_path / "submission.csv"), Defects(tmp_path / "defects.csv", about.class_names)):
        with table as sink:
            for answer in answers:
                sink.collect(answer.name, sink.render(answer))
        assert taken(desk, visit, table.path.name) == table.path.read_bytes()
    for name, make in (
        ("overlays", lambda one: encode_png(overlay_of(one, about.class_names))),
        ("masks", lambda one: encode_png(index_mask_of(one, about.task, about.class_ids))),
    ):
        packed = zipfile.ZipFile(io.BytesIO(taken(desk, visit, f"{name}.zip")))
        assert packed.namelist() == [f"{name}/a.png", f"{name}/b.png", f"{name}/c.png"]
        for answer in answers:
            assert isinstance(answer, Inspected)
            assert packed.read(f"{name}/{answer.name}") == make(answer)


def test_results_say_how_each_image_was_left(desk):
    visit = desk.begin(meta={"coil_id": "A7"})
    desk.add(visit, **IMAGES)
    desk.act(visit, 1, "reject", defect=1)
    desk.act(visit, 2, "add", class_id=2, polygon=[[0, 0], [10, 0], [10, 10], [0, 10]])
    desk.act(visit, 3, "comment", text="=SUM(A1)")
    rows = list(csv.DictReader(io.StringIO(taken(desk, visit, "results.csv").decode())))
    assert [(row["image"], row["verdict"], row["network"]) for row in rows] == [
        ("a.png", "OK", "defective"),
        ("b.png", "NG", "clean"),
        ("c.png", "NG", "defective"),
    ]
    assert [row["area_px"] for row in rows] == ["0", "100", "1200"]
    assert {row["meta.coil_id"] for row in rows} == {"A7"}
    assert {(row["weights"], row["settings"]) for row in rows} == {
        ("red-12345678.pth", desk.desk.visit(visit).settings)
    }
    assert rows[2]["remark"] == "'=SUM(A1)"  # a spreadsheet computes nothing


def test_session_counts_by_class_shift_and_coil(desk):
    visit = desk.begin(meta={"coil_id": "A7", "shift": "late"})
    desk.add(visit, **IMAGES)
    desk.act(visit, 1, "reject", defect=1)
    desk.act(visit, 1, "done")
    desk.act(visit, 3, "accept", who="Bo", defect=1)
    numbers = desk.services.taking.sessions.session(visit)
    assert numbers["verdicts"] == {"NG": 1, "OK": 2, "unsure": 0}
    assert (numbers["reviewed"], numbers["changed"], numbers["who"]) == (2, 1, {"Ann": 1, "Bo": 1})
    assert numbers["by_class"] == {"dark": {"images": 1, "defects": 1, "area_px": 1200}}
    assert numbers["by_shift"] == {"late": {"images": 3, "OK": 2, "NG": 1}}
    assert list(numbers["by_coil"]) == ["A7"]


@pytest.mark.parametrize(("name", "start"), [("report.html", b"<!DOCTYPE html>"), ("report.pdf", b"%PDF-1.")])
def test_report_comes_as_page_and_pdf(desk, name, start):
    visit = desk.begin(title="Schicht Süd, смена 3, 早班 <b>")
    desk.add(visit, **IMAGES)
    desk.act(visit, 1, "comment", text="roll mark & scale")
    report = taken(desk, visit, name)
    assert report.startswith(start)
    if name == "report.html":
        text = report.decode()
        assert "roll mark &amp; scale" in text
        assert "早班 &lt;b&gt;" in text
        assert desk.desk.visit(visit).settings in text
    assert taken(desk, desk.begin(), name).startswith(start)  # of nothing, too


def test_what_is_not_there_is_not_found(desk):
    visit = desk.begin()
    for name in ("labels.csv", "other.csv", "../desk.sqlite", "desk.sqlite", "weights.pth"):
        with pytest.raises(NotHere):
            taken(desk, visit, name)


def test_settings_of_a_network_that_is_no_file_are_not_kept(desk):
    visit = desk.begin()
    with pytest.raises(InputError, match="not there any more"):
        desk.services.taking.keep_settings(visit, {"name": "mine"})
    with pytest.raises(InputError, match="unknown"):
        desk.services.taking.keep_settings(visit, {"path": "/etc/x"})


def test_settings_are_kept_as_weights_that_load_by_themselves(desk, make_weights):
    (path,) = make_weights().glob("*.pth")
    desk.inspector.path = path
    visit = desk.begin()
    desk.desk.change(visit, {"decision": [{"threshold": 0.7, "min_area": 9}, {"high_threshold": 0.9}]})
    kept = desk.services.taking.keep_settings(visit, {"name": "unet-mine", "who": "Ann"})
    assert re.fullmatch(r"unet-mine-[0-9a-f]{8}\.pth", kept["file"])
    data = taken(desk, visit, kept["file"])
    assert len(data) == kept["bytes"]
    (desk.desk.files.folder / kept["file"]).write_bytes(data)
    weights = load(desk.desk.files.folder / kept["file"])
    assert weights.decision == Decision((0.7, 0.5), (9, 0), (None, 100_000), (0.0, 0.9))
    assert weights.metrics["chosen_by_hand"]["who"] == "Ann"
    with pytest.raises(InputError, match="letters"):
        desk.services.taking.keep_settings(visit, {"name": "../x"})
