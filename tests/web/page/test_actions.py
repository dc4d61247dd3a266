"""What the page does for a visitor, without a browser: what is kept, what is made anew, what is refused."""

import csv
import dataclasses
import io
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config import PredictConfig, ServeConfig
from tests.web.page.bright import Bright, strip
from utils.commands.predict import predict
from utils.desk.sources import Uploaded, draw_samples, open_folder
from utils.errors import InputError
from utils.inspection.choosing import Inspectors, find_weights
from utils.inspection.inspector import Inspector
from utils.web.page.actions import PageActions
from utils.web.page.description import describe
from utils.web.page.downloads import make_routes
from utils.web.page.visit import MOST_IMAGES, Visits


@pytest.fixture
def actions(bright, other_weights) -> PageActions:
    return PageActions(Inspectors(bright, find_weights(other_weights), Bright.open_file), [], [])


@pytest.fixture
def visit(actions):
    return actions.visits.of("one")


def see(actions, visit, **files: bytes) -> None:
    for _ in actions.inspect(visit, [Uploaded(name, data) for name, data in files.items()]):
        pass


PITS = {f"{n}.png": strip((10 * n, 10, 20, 20, 240)) for n in range(1, 12)}


def test_images_come_in_portions_in_their_order(actions, visit):
    told = []
    for _ in actions.inspect(visit, [Uploaded(name, data) for name, data in PITS.items()]):
        told.append(describe(actions, visit))
    assert [len(value["images"]) for value in told] == [8, 11]
    assert [image["name"] for image in told[-1]["images"]] == list(PITS)
    assert told[0]["shown"]["name"] == told[-1]["shown"]["name"] == "1.png"
    assert [value["version"] for value in told] == [1, 2]


def test_gallery_is_told_the_best_probability_of_each_class(actions, visit):
    see(
        actions,
        visit,
        **{"a.png": strip((10, 10, 20, 20, 215), (60, 10, 20, 20, 3)), "b.png": strip((5, 5, 9, 9, 240))},
    )
    first, second = describe(actions, visit)["images"]
    assert [round(one, 2) for one in first["probabilities"] + second["probabilities"]] == [0.84, 0.99, 0.94, 0.0]
    assert [first["probability"], second["probability"]] == [first["probabilities"][1], second["probabilities"][0]]


def test_same_image_is_taken_once_and_another_of_its_name_beside_it(actions, visit, bright):
    see(actions, visit, **{"a.png": strip()})
    see(actions, visit, **{"a.png": strip()})
    assert bright.calls == 1
    see(actions, visit, **{"a.png": strip((5, 5, 9, 9, 250))})
    assert [seen.name for seen in visit.images.values()] == ["a.png", "a (2).png"]
    assert visit.images[visit.shown].name == "a (2).png"


def test_what_left_the_shelf_is_made_again_the_same(actions, visit, bright):
    see(actions, visit, **PITS)
    before = [describe(actions, visit)]
    actions.cache.room = 1
    see(actions, visit, **{"last.png": strip()})
    assert bright.calls == 12
    actions.show(visit, next(iter(visit.images)))
    assert bright.calls == 13
    assert describe(actions, visit)["shown"] == before[0]["shown"]
    actions.decide(visit, [0.95, 0.95], everywhere=True)  # an image that is made anew for that pushes nothing out
    assert actions.cache.get(visit, visit.shown) is not None
    assert {image["defects"] for image in describe(actions, visit)["images"]} == {0}


def test_visit_is_not_locked_between_portions_and_any_thread_may_go_on(actions, visit):
    see(actions, visit, **{"a.png": strip()})
    for files in (PITS, {"a.png": strip()}, {}):
        work = actions.inspect(visit, [Uploaded(name, data) for name, data in files.items()])
        while True:
            with ThreadPoolExecutor(1) as other:
                if other.submit(lambda work=work: next(work, "end")).result() == "end":
                    break
            assert visit.lock.acquire(blocking=False)
            visit.lock.release()
    assert len(visit.images) == 12


def test_thresholds_hold_for_images_that_come_later_and_that_come_back(actions, visit):
    see(actions, visit, **{"a.png": strip((10, 10, 20, 20, 215))})
    assert describe(actions, visit)["shown"]["found"] == ["pits"]
    actions.decide(visit, [0.9, 0.9], everywhere=True)
    assert describe(actions, visit)["shown"]["found"] == []
    see(actions, visit, **{"b.png": strip((10, 10, 20, 20, 215), (60, 10, 20, 20, 250))})
    actions.cache.forget(visit)
    assert [image["defects"] for image in describe(actions, visit)["images"]] == [0, 1]
    actions.decide(visit, None, everywhere=False)
    value = describe(actions, visit)
    assert [image["old"] for image in value["images"]] == [True, False]  # only the one in sight was decided anew
    assert value["shown"]["name"] == "b.png"
    assert len(value["shown"]["defects"]) == 2


@pytest.mark.parametrize("sent", ["x", [0.5], [0.5, 2], [0.5, "1"], [0.5, float("nan")], [True, 0.5], {"0": 1}, 7])
def test_thresholds_that_no_page_sends_are_refused(actions, visit, sent):
    with pytest.raises(InputError, match="expected 2 numbers"):
        actions.decide(visit, sent, everywhere=True)


@pytest.mark.parametrize("key", [None, 5, "99", "../../etc/passwd", ["1"], {}])
def test_key_that_no_page_sends_shows_nothing_else(actions, visit, key):
    see(actions, visit, **{"a.png": strip()})
    shown = visit.shown
    actions.show(visit, key)
    assert visit.shown == shown


def test_other_weights_inspect_all_images_anew_and_few_stay_open(actions, visit):
    see(actions, visit, **{"a.png": strip((10, 10, 20, 20, 240)), "b.png": strip()})
    actions.decide(visit, [0.99, 0.99], everywhere=True)
    assert actions.inspectors.names[:3] == ["bright", "broken", "second"]
    with pytest.raises(InputError, match=r"^broken-00000000\.pth: damaged"):
        list(actions.use(visit, "broken"))
    assert describe(actions, visit)["shown"]["found"] == []  # as it was
    for _ in actions.use(visit, "second"):
        pass
    assert Bright.opened["second"].calls == 2
    assert describe(actions, visit)["shown"]["found"] == ["pits"]  # with the weights' own thresholds
    Bright.opened["second"].closed = True  # by another visitor's choice
    actions.inspectors._others.clear()
    see(actions, visit, **{"c.png": strip()})
    assert len(visit.images) == 3
    with pytest.raises(InputError, match="no such weights"):
        list(actions.use(visit, "../elsewhere"))


def test_visits_do_not_see_each_other_and_end(actions, visit):
    see(actions, visit, **{"a.png": strip()})
    other = actions.visits.of("two")
    assert describe(actions, other)["images"] == []
    assert actions.visits.find(visit.token) is visit
    assert actions.visits.find(visit.token[:-1] + "é") is None
    actions.visits.leave("one", grace=0)
    for _ in range(200):
        if actions.visits.find(visit.token) is None:
            break
        time.sleep(0.01)
    assert actions.visits.find(visit.token) is None
    assert actions.cache.get(visit, "1") is None


def test_visit_that_comes_back_in_time_stays(actions, visit):
    actions.visits.leave("one", grace=0.05)
    assert actions.visits.of("one") is visit
    time.sleep(0.1)
    assert actions.visits.of("one") is visit


def test_visit_that_leaves_again_has_its_whole_grace_again(actions, visit):
    actions.visits.leave("one", grace=0.2)
    actions.visits.of("one")
    actions.visits.leave("one", grace=60)
    time.sleep(0.5)
    assert actions.visits.find(visit.token) is visit


def test_old_visits_and_old_images_make_room(actions, visit):
    ended = []
    visits = Visits(ended=ended.append)
    first = visits.of("first")
    for number in range(64):
        visits.of(str(number))
    assert ended == [first]
    for number in range(MOST_IMAGES + 3):
        visit.add(Uploaded(f"{number}.png", b""))
    assert len(visit.images) == MOST_IMAGES
    assert next(iter(visit.images.values())).name == "3.png"


def test_samples_are_the_same_every_time_and_show_what_they_are_called():
    samples = draw_samples()
    assert [sample.data() for sample in samples] == [sample.data() for sample in draw_samples()]
    for sample in samples:
        truth = sample.truth(256, 1600)
        shown = [name for name, mask in zip(truth.class_names, truth.masks, strict=True) if mask.any()]
        assert all(name in sample.name for name in shown)
        assert bool(shown) != ("clean" in sample.name)


def test_folder_has_labels_where_they_fit_and_a_word_where_not(make_dataset, tmp_path):
    (part,) = open_folder(make_dataset(count=5))
    assert part.title == "train_images"
    assert part.matching("03") == ["003.png"]
    (image,) = part.images(["003.png", "../../etc/passwd", "nothing.png"])
    truth = image.truth(33 + 15, 80)
    assert [mask.sum() for mask in truth.masks] == [180, 0]
    assert image.truth(5, 5).note.startswith("no ground truth: train.csv")
    plain = tmp_path / "plain"
    plain.mkdir()
    with pytest.raises(InputError, match="holds no image files"):
        open_folder(plain)
    (plain / "a.png").write_bytes(strip())
    (part,) = open_folder(plain)
    assert part.images(["a.png"])[0].truth(64, 400) is None
    with pytest.raises(InputError, match="no such folder"):
        open_folder(plain / "a.png")


@pytest.mark.parametrize("task", ["multilabel", "binary", "multiclass"])
def test_downloads_are_what_the_command_line_writes(make_dataset, make_weights, tmp_path, task):
    folder, weights = make_dataset(count=5), make_weights(task=task, min_area=3)
    config = PredictConfig(
        images=folder / "train_images", weights_dir=weights, backend="torch", out=tmp_path, batch_size=1,
        save=("masks", "submission", "defects"),
    )  # fmt: skip
    predict(config)
    with Inspector.open(ServeConfig(weights_dir=weights, backend="torch", precision="f32", batch_size=1)) as inspector:
        actions = PageActions(Inspectors(inspector, {}, pytest.fail), [], open_folder(folder))
        visit = actions.visits.of("one")
        for _ in actions.inspect(visit, actions.parts[0].images(actions.parts[0].names)):
            pass
        actions.cache.forget(visit, "2")  # as if there had been no room for it
        app = FastAPI()
        app.include_router(make_routes(lambda: actions))
        client = TestClient(app)

        def fetch(name: str) -> bytes:
            answer = client.get(f"/page/{visit.token}/{name}")
            assert answer.status_code == 200, name
            return answer.content

        assert fetch("submission.csv") == (tmp_path / "submission.csv").read_bytes()
        assert fetch("defects.csv") == (tmp_path / "defects.csv").read_bytes()
        assert len(fetch("defects.csv").splitlines()) > 5
        with zipfile.ZipFile(io.BytesIO(fetch("masks.zip"))) as packed:
            assert packed.testzip() is None
            assert {name: packed.read(name) for name in packed.namelist()} == {
                f"masks/{path.name}": path.read_bytes() for path in (tmp_path / "masks").iterdir()
            }


def test_overlay_is_what_the_command_line_draws(make_dataset, make_weights, tmp_path):
    folder, weights = make_dataset(count=3), make_weights(min_area=3)
    predict(PredictConfig(dir=folder, weights_dir=weights, backend="torch", out=tmp_path, save=("overlays",)))
    with Inspector.open(ServeConfig(weights_dir=weights, backend="torch", precision="f32")) as inspector:
        actions = PageActions(Inspectors(inspector, {}, pytest.fail), [], open_folder(folder))
        visit = actions.visits.of("one")
        list(actions.inspect(visit, actions.parts[0].images(actions.parts[0].names)))
        app = FastAPI()
        app.include_router(make_routes(lambda: actions))
        for seen in visit.images.values():
            sent = TestClient(app).get(f"/page/{visit.token}/overlay/{seen.key}.png").content
            assert sent == (tmp_path / "overlays" / seen.name).read_bytes()


def test_nobody_without_the_token_gets_a_picture(actions, visit):
    see(actions, visit, **{"a.png": strip((10, 10, 20, 20, 240))})
    app = FastAPI()
    app.include_router(make_routes(lambda: actions))
    client = TestClient(app)
    other = actions.visits.of("two").token
    for path in ("picture/1.jpg", "thumb/1.jpg", "overlay/1.png"):
        assert client.get(f"/page/{visit.token}/{path}").status_code == 200
        assert client.get(f"/page/{other}/{path}").status_code == 404
        assert client.get(f"/page/x/{path}").status_code == 404
        assert client.get(f"/page/{visit.token}/{path.replace('1', '2')}").status_code == 404
    table = csv.reader(io.StringIO(client.get(f"/page/{other}/defects.csv").text))
    assert len(list(table)) == 1  # the header
    sent = cv2.imdecode(np.frombuffer(client.get(f"/page/{visit.token}/picture/1.jpg").content, np.uint8), 0)
    assert sent.shape == (64, 400)


@pytest.mark.parametrize("suffix", [".pth", ".system.json"])
def test_other_file_of_the_served_name_can_be_chosen_whichever_is_served(suffix):
    first, second = (Path(f"a-{digits}{suffix}") for digits in ("0000aaaa", "0000bbbb"))
    for served, other in ((first, second), (second, first)):
        inspector = Bright("a")
        inspector.about = dataclasses.replace(inspector.about, file=served.name)
        opened = Inspectors(inspector, {"a": first, "a-0000bbbb": second}, lambda path: path)
        assert opened.names == ["a", other.name.removesuffix(suffix)]
        assert opened.get("a") is inspector
        assert opened.get(opened.names[1]) == other


def test_weights_are_listed_by_name_and_a_run_of_the_same_name_beside_them(tmp_path: Path):
    half = ".b.0000cccc.part.pth"  # of a download that was killed
    for file in ("a-0000aaaa.pth", "a-0000bbbb.pth", "systems/pair.system.json", half):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    found = find_weights(tmp_path)
    assert [*found][:3] == ["pair", "a", "a-0000bbbb"]
    assert tmp_path / half not in found.values()
    assert "unet-resnet18-neuseg" in found  # published
    assert find_weights(tmp_path / "a-0000aaaa.pth") == found
