"""benchmarks/desk.py asks a server what a page asks, and waits for what it waits for."""

import random

import cv2
import pytest

from benchmarks import desk
from config import ServeConfig
from tests.web.red import Red, make_application, running
from utils.data import rle
from utils.web.desk.mounting import mount_desk


@pytest.fixture
def server(tmp_path):
    red, config = Red(), ServeConfig(weights_dir=tmp_path)
    application = make_application(red, config)
    app, api = application.app, application.api
    mount_desk(app, application.inspector, config, api.limits, application.traffic, api.count)
    with running(application, red) as made:
        yield made


def test_strokes_are_kept_beside_news(server, monkeypatch, tmp_path):
    monkeypatch.setattr(desk, "PAUSE", 0.01)
    frame = desk.make_frame(tmp_path / "frame.png", 256, 1600)
    page = desk.Page(server.port)
    visit = page.begin()
    page.send(visit, [frame])
    taken = desk.paint(server.port, visit, 1, 0.2)
    review = page.ask("GET", f"visits/{visit}/images/1")["review"]
    assert len(taken) == review["revision"] >= desk.PAINTERS * 5
    assert {one["who"] for one in review["history"]} == {"Painter 0", "Painter 1"}


def test_small_images_are_all_different_and_waited_for(server):
    page = desk.Page(server.port)
    visit = page.begin()
    page.send_made(visit, range(20))
    page.wait(visit, 20)
    listed = page.ask("GET", f"visits/{visit}/images?limit=60")
    assert len({row["sha256"] for row in listed["images"]}) == listed["total"] == 20


def test_strokes_and_frames_have_the_sizes_that_the_table_names(tmp_path):
    mask = rle.decode(desk.stroke(random.Random(0)), 256, 1600)
    assert 300 < mask.sum() < 6000
    path = desk.make_frame(tmp_path / "frame.png", 300, 2000)
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape[:2] == (300, 2000)
    assert desk.most_memory(desk.os.getpid()) > 2**20
