"""The queue of the desk: what it does in the background, and what stays right whatever happens meanwhile."""

import dataclasses
import time

import pytest

from tests.desk.desks import bench, strip
from tests.web.red import about, pixels, png
from utils.desk import work
from utils.desk.database import CannotKeep, Database, check_free
from utils.desk.image_files import LOGITS, ImageFiles
from utils.desk.image_table import Filter, Job
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused


def rows(desk, visit, **wanted):
    return desk.services.listing.list_images(visit, Filter(**wanted), "old", 100, 0)["images"]


def test_refusals_of_the_network_are_told_with_their_reason():
    with bench() as desk:
        visit = desk.begin()
        desk.add(visit, good=strip(), bug=png(pixels(13)), none=png(pixels(15)))
        assert [row["status"] for row in rows(desk, visit)] == ["done", "refused", "refused"]
        assert [row["reason"] is None for row in rows(desk, visit)] == [True, False, False]
        assert [row["name"] for row in rows(desk, visit, verdict="refused")] == ["bug.png", "none.png"]
        assert sum(isinstance(one, Refused) for one in desk.told) == 2
        assert sum(isinstance(one, Inspected) for one in desk.told) == 1


def test_a_stopped_visit_waits_and_goes_on():
    with bench() as desk:
        visit = desk.begin()
        desk.desk.stop(visit, True)
        for number in range(6):
            desk.services.adding.add(visit, f"{number}.png", strip(210 + number))
        time.sleep(0.3)
        described = desk.desk.describe(desk.desk.visit(visit))
        assert (described["state"], described["counts"]["waiting"]) == ("stopped", 6)
        desk.desk.stop(visit, False)
        assert desk.wait(visit)["counts"]["done"] == 6


def test_images_taken_away_while_they_are_inspected_stay_away():
    with bench() as desk:
        visit = desk.begin()
        desk.red.go.clear()
        desk.services.adding.add(visit, "a.png", strip())
        desk.services.adding.add(visit, "b.png", strip(221))
        time.sleep(0.2)
        desk.services.adding.remove(visit, 1)
        desk.red.go.set()
        desk.wait(visit)
        assert [row["name"] for row in rows(desk, visit)] == ["b.png"]


def test_thresholds_changed_while_images_are_inspected_hold_for_all():
    with bench() as desk:
        visit = desk.begin()
        desk.red.go.clear()
        for number in range(5):
            desk.services.adding.add(visit, f"{number}.png", strip(210 + number))
        time.sleep(0.1)
        desk.desk.change(visit, {"decision": [{"min_area": 201}, {}]})
        desk.red.go.set()
        described = desk.wait(visit)
        assert described["counts"]["defective"] == 0
        assert {row["settings"] for row in rows(desk, visit)} == {described["settings"]}


def test_other_weights_look_at_all_images_again():
    with bench() as desk:
        visit = desk.begin()
        desk.add(visit, a=strip(), bug=png(pixels(13)))
        desk.desk.change(visit, {"weights": "second", "compare": "red"})
        described = desk.wait(visit)
        assert (described["weights_file"], described["compare"]) == ("second.pth", "red")
        assert described["counts"]["done"] == 1
        seen = desk.services.looking.image(visit, 1, compare=True)
        assert (seen["weights"], len(seen["defects"])) == ("red", 1)


def test_what_waited_is_inspected_by_the_next_server(tmp_path):
    with bench(tmp_path) as desk:
        visit = desk.begin()
        desk.red.go.clear()
        for number in range(3):
            desk.services.adding.add(visit, f"{number}.png", strip(210 + number))
    with bench(tmp_path) as desk:
        assert desk.wait(visit)["counts"]["done"] == 3


def test_a_visit_whose_weights_are_gone_is_still_read(tmp_path):
    with bench(tmp_path) as desk:
        visit = desk.begin()
        desk.add(visit, a=strip())
    with bench(tmp_path, changes={"file": "other-87654321.pth"}) as desk:
        described = desk.desk.describe(desk.desk.visit(visit))
        assert (described["weights_here"], described["counts"]["done"]) == (False, 1)
        assert len(desk.services.looking.image(visit, 1)["defects"]) == 1
        assert b"".join(desk.services.taking.download(visit, "submission.csv")).count(b"\n") == 3
        assert desk.services.viewing.thumb(visit, 1)[:2] == b"\xff\xd8"


def test_a_second_server_is_refused_in_one_line(tmp_path):
    check_free(tmp_path)
    with bench(tmp_path):
        for again in (Database, check_free):
            with pytest.raises(InputError, match="another server uses this folder"):
                again(tmp_path)
    check_free(tmp_path)
    Database(tmp_path).close()


def test_images_that_nobody_has_any_more_are_removed(tmp_path):
    with bench(tmp_path) as desk:
        one, other = desk.begin(), desk.begin()
        desk.add(one, a=strip(), shared=strip(221), reviewed=strip(222))
        desk.add(other, shared=strip(221))
        desk.act(one, 3, "clean")
        desk.desk.forget(one)
        left = sorted(path.stem for path in (tmp_path / "images").rglob("*.png"))
        assert len(left) == 2  # the one of the other visit, and the reviewed one, which collect needs
        assert desk.services.looking.image(other, 1)["name"] == "shared.png"


def test_images_that_were_to_be_decided_anew_go_on_after_a_restart(tmp_path):
    with bench(tmp_path) as desk:
        visit = desk.begin()
        desk.add(visit, a=strip())
        desk.desk.work.close()
        desk.desk.change(visit, {"decision": [{"min_area": 500}, {}]})
        assert desk.desk.images.counts(visit, desk.desk.visit(visit).settings)["behind"] == 1
    with bench(tmp_path) as desk:
        assert desk.wait(visit)["counts"]["defective"] == 0


def test_nothing_is_written_after_the_desk_has_closed(monkeypatch):
    """Else its temporary folder cannot be removed, or comes back; and images are inspected for nobody."""
    write = ImageFiles._write

    def slowly(files, path, data):
        if LOGITS in path.parts:
            time.sleep(0.3)
        write(files, path, data)

    monkeypatch.setattr(ImageFiles, "_write", slowly)
    with bench() as desk:
        folder = desk.desk.files.folder
        visit = desk.begin()
        for number in range(20):
            desk.services.adding.add(visit, f"{number}.png", strip(number))
        until = time.monotonic() + 20
        while not desk.red.batches and time.monotonic() < until:
            time.sleep(0.01)
        desk.desk.close()
        assert desk.inspector.close(10)
        assert not folder.exists()


def test_other_weights_without_classes_of_pixels_see_the_images_anew():
    with bench() as desk:
        visit = desk.begin()
        desk.add(visit, a=strip())
        known, row = desk.desk.visit(visit), desk.desk.row(visit, 1)
        other = dataclasses.replace(known, about=about(class_names=(), file="other.pth"), settings="other")
        assert not desk.desk.work.decide_anew(other, Job(visit, 1, "a.png", row["sha256"], "done"))
        assert desk.desk.row(visit, 1)["settings"] == known.settings


def test_a_full_disk_is_waited_for(monkeypatch):
    monkeypatch.setattr(work, "REST_SECONDS", 0.05)
    with bench() as desk:
        connection, visit = desk.desk.database._plain, desk.begin()
        store, tries = desk.desk.images.found, []

        def found(*words):
            tries.append(time.monotonic())
            if len(tries) == 1:
                raise CannotKeep("full")
            return store(*words)

        monkeypatch.setattr(desk.desk.images, "found", found)
        desk.add(visit, a=strip())
        assert tries[1] - tries[0] > 0.04
        assert connection.in_transaction is False


def test_visits_of_long_ago_take_no_memory(monkeypatch):
    monkeypatch.setattr(work, "RATE_SECONDS", 0.0)
    with bench() as desk:
        for number in range(4):
            desk.add(desk.begin(), a=strip(200 + number))
        assert len(desk.desk.work._done) == 1


def test_other_weights_of_the_same_name_are_other_weights(tmp_path):
    """As when somebody trains again, writes the file over the old one, and starts the server anew."""
    with bench(tmp_path, changes={"file": "line.pth", "sha8": "11111111"}) as desk:
        visit = desk.begin()
        desk.add(visit, a=strip())
        before = desk.desk.visit(visit)
    with bench(tmp_path, changes={"file": "line.pth", "sha8": "22222222"}) as desk:
        assert desk.desk.describe(desk.desk.visit(visit))["weights_here"] is False
        desk.services.adding.add(visit, "b.png", strip(230))
        until = time.monotonic() + 10
        while not desk.desk.visit(visit).stopped and time.monotonic() < until:
            time.sleep(0.01)
        assert desk.desk.row(visit, 2)["status"] == "waiting"  # not inspected by what is no more
        # Whoever chooses the name again takes the new ones, which see all images.
        desk.desk.change(visit, {"weights": "red"})
        desk.desk.stop(visit, False)
        described = desk.wait(visit)
        assert (described["weights_here"], described["counts"]["done"]) == (True, 2)
        now = desk.desk.visit(visit)
        assert (now.about.sha8, len(desk.red.batches) > 0) == ("22222222", True)
        assert now.settings != before.settings
        assert {row["settings"] for row in rows(desk, visit)} == {now.settings}
