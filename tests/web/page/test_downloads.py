"""Pictures and results by HTTP: a visitor who is busy keeps none of the threads that the others need."""

import asyncio
import io
import threading
import time
import zipfile
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from tests.web.page.bright import Bright, strip
from utils.desk.sources import Uploaded
from utils.inspection.choosing import Inspectors
from utils.web.page.actions import PageActions
from utils.web.page.downloads import make_routes
from utils.web.page.visit import Visit


@pytest.fixture
def actions() -> PageActions:
    return PageActions(Inspectors(Bright(), {}, Bright.open_file), [], [])


def visit_of(actions: PageActions, session: str) -> Visit:
    """A visit with two images."""
    visit = actions.visits.of(session)
    list(actions.inspect(visit, [Uploaded(f"{k}.png", strip((k, 10, 30, 20, 240))) for k in (5, 6)]))
    return visit


@pytest.fixture
def held(actions: PageActions) -> Iterator[Visit]:
    """A visit whose lock another thread holds."""
    visit, ready, release = visit_of(actions, "held"), threading.Event(), threading.Event()

    def hold() -> None:
        with visit.lock:
            ready.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(10)
    yield visit
    release.set()
    thread.join(10)


def fetch(actions: PageActions, *paths: str, others: tuple[str, ...] = ()) -> list[httpx.Response]:
    """Ask for some addresses while nobody answers others that were asked for before."""
    app = FastAPI()
    app.include_router(make_routes(lambda: actions))

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://strips") as client:
            waiting = [asyncio.create_task(client.get(path)) for path in others]
            await asyncio.sleep(0.1 if others else 0)
            answers = await asyncio.wait_for(asyncio.gather(*map(client.get, paths)), 10)
            assert not any(task.done() for task in waiting)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            return answers

    return asyncio.run(ask())


KINDS = ["picture/1.jpg", "overlay/1.png", "overlays.zip", "masks.zip", "submission.csv", "defects.csv"]


def test_a_visit_that_is_busy_stalls_no_other(actions, held):
    other = visit_of(actions, "other")
    asked = [f"/page/{held.token}/{kind}" for kind in KINDS for _ in range(20)]  # three times the threads there are
    start = time.monotonic()
    answers = fetch(actions, *(f"/page/{other.token}/{kind}" for kind in KINDS), others=tuple(asked))
    assert [answer.status_code for answer in answers] == [200] * len(KINDS)
    assert time.monotonic() - start < 8


def test_every_download_has_all_images(actions):
    visit = visit_of(actions, "one")
    overlays, masks, table = fetch(
        actions, *(f"/page/{visit.token}/{kind}" for kind in ("overlays.zip", "masks.zip", "defects.csv"))
    )
    for answer, folder in ((overlays, "overlays"), (masks, "masks")):
        packed = zipfile.ZipFile(io.BytesIO(answer.content))
        assert packed.testzip() is None
        assert packed.namelist() == [f"{folder}/5.png", f"{folder}/6.png"]
    assert [line.split(",")[0] for line in table.text.splitlines()[1:]] == ["5.png", "6.png"]


@pytest.mark.parametrize("kind", ["picture/9.jpg", "overlay/9.png", "thumb/9.jpg", "labels.csv"])
def test_what_is_not_there_is_not_found(actions, kind):
    visit = visit_of(actions, "one")
    assert [answer.status_code for answer in fetch(actions, f"/page/{visit.token}/{kind}", f"/page/x/{kind}")] == [
        404
    ] * 2


def test_loading_weights_stalls_nobody_who_uses_others(bright, other_weights):
    loading, go = threading.Event(), threading.Event()

    def open_file(path):
        if path.name.startswith("second"):
            loading.set()
            go.wait(30)
        return Bright(path.stem.rpartition("-")[0])

    files = {name: other_weights / f"{name}-00000000.pth" for name in ("first", "second")}
    inspectors = Inspectors(bright, files, open_file)
    slow = [threading.Thread(target=inspectors.get, args=["second"]) for _ in range(2)]
    for thread in slow:
        thread.start()
    try:
        assert loading.wait(10)
        start = time.monotonic()
        assert inspectors.get("first").about.name == "first"
        assert inspectors.get("bright") is bright
        assert time.monotonic() - start < 5
    finally:
        go.set()
        for thread in slow:
            thread.join(10)
    assert inspectors.get("second") is inspectors.get("second")
