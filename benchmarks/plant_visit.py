"""Two people who review images of one visit at the same time in a real browser, while the server is killed and comes back."""

import asyncio
import contextlib
import dataclasses
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.plant_person import Person, Work
from utils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
SCREEN = {"width": 1366, "height": 768}
PEOPLE = ("Ann", "Bo")


@contextlib.contextmanager
def served(words: Sequence[str]) -> Iterator["Serving"]:
    """Run a server by its command line until the block ends."""
    server = Serving(words)
    try:
        yield server
    finally:
        server.stop()


class Serving:
    """The process of a server, which can be killed and started again."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.start()

    def start(self) -> None:
        """Start it, and wait until it says where it is."""
        self.process = subprocess.Popen([sys.executable, *self.words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+)", line)
        if not found:
            raise InputError(f"Serve.py did not start: {line}")
        self.url = found[1] + "/"

    def kill(self) -> None:
        """Do what ``kill -9`` does."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it as SIGTERM does."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


def kept_actions(place: Path) -> dict[str, tuple[str, str]]:
    """Return the actions on the disk: id -> who, content."""
    with contextlib.closing(sqlite3.connect(f"file:{place / 'desk.sqlite'}?mode=ro", uri=True)) as database:
        return {row[0]: (row[1], row[2]) for row in database.execute("SELECT id, who, content FROM actions")}


@dataclasses.dataclass
class Visit:
    """Two people who review images of one visit at the same time.

    Args:
        server: that shows them.
        kept: folder of ``-save``.
        known: gives the true masks of an image by its name, see ``Person``.
        class_names: of the masks.
        queue: that they take.
        number: of images to review; None: until nothing is left.
        kills: whether the server is killed, once under a page and once with it.
        jitter: of a corner, pixels.
        seed: of it.
        screens: folder for pictures of the page; their names begin with ``title``.
        title: of the visit.
    """

    server: Serving
    kept: Path
    known: Callable[[str], np.ndarray]
    class_names: Sequence[str]
    queue: str
    number: int | None
    kills: bool
    jitter: float
    seed: int
    screens: Path
    title: str
    taken: list[str] = dataclasses.field(default_factory=list)
    lost: list[str] = dataclasses.field(default_factory=list)
    killed: int = 0

    def review(self) -> tuple[Work, float]:
        """Review; return what both did together, and the seconds on the wall."""
        start = time.monotonic()
        self.screens.mkdir(parents=True, exist_ok=True)
        works = asyncio.run(self._both())
        total = Work(**{f.name: sum(getattr(work, f.name) for work in works) for f in dataclasses.fields(Work)})
        if len(set(self.taken)) != len(self.taken):
            raise AssertionError(f"two people got the same image: {self.taken}")
        return total, time.monotonic() - start

    async def _both(self) -> list[Work]:
        async with browser() as made:
            people = []
            for number, name in enumerate(PEOPLE):
                page = await self._page(made)
                seed = 2 * self.seed + number
                people.append(Person(page, name, self.known, self.class_names, self.jitter, seed))
            ann, bo = people
            await ann.open(self.server.url)
            await ann.take_folder()
            await self.screen(ann, "inspected")
            self.url = re.sub(r"&image=[^&]*", "", ann.page.url)
            await bo.open(self.url)
            await bo.image()
            before = kept_actions(self.kept)
            self.stopping = asyncio.Lock()
            self.stops = dict(zip(PEOPLE, (self._killed_under_the_page, self._killed_with_the_page), strict=True))
            for person in people:
                await person.take_queue(self.queue)
            await asyncio.gather(*(self._work(person, made) for person in people))
            for person in people:
                await person.sent()
            await self.screen(ann, "done")
            self._check(people, before)
            return [person.work for person in people]

    async def _page(self, made: Any) -> Any:
        context = await made.new_context(viewport=SCREEN, locale="en-US")
        page = await context.new_page()
        page.set_default_timeout(120_000)
        return page

    async def _work(self, person: Person, made: Any) -> None:
        mine = 0
        while self.number is None or len(self.taken) < self.number:
            image = await person.image()
            if image["name"] in self.taken:  # nothing is left, the last one is still in sight
                break
            self.taken.append(image["name"])
            stop = self.stops.get(person.name) if self.kills and mine >= 2 else None
            if mine == 1:
                await self.screen(person, "proposed")
            if stop is not None:
                await person.review(lambda *known, stop=stop: self._one_at_a_time(stop, *known, made))
            else:
                await person.review()
            mine += 1

    async def _one_at_a_time(self, stop: Callable[..., Any], *known: Any) -> None:
        async with self.stopping:
            await stop(*known)

    async def _killed_under_the_page(
        self, person: Person, part: np.ndarray, digit: int, image: dict[str, Any], made: Any
    ) -> None:
        """Kill the server while a stroke is in hand; the page stays, and sends it when the server is back."""
        del self.stops[person.name]
        await self._stroke(person, part, digit)
        self.server.kill()
        await person.page.mouse.up()
        person.work.strokes += 1
        person.work.told += 1
        await (
            person.page.locator("#notices", has_text="not saved").or_(person.page.locator("body.lost")).first.wait_for()
        )
        await self.screen(person, "killed")
        await asyncio.to_thread(self.server.start)
        await person.sent()
        self.killed += 1

    async def _killed_with_the_page(
        self, person: Person, part: np.ndarray, digit: int, image: dict[str, Any], made: Any
    ) -> None:
        """Kill the server and the page while a stroke is in hand; that stroke is lost, and nothing else."""
        del self.stops[person.name]
        await person.sent()
        mine = {key for key, (who, _) in kept_actions(self.kept).items() if who == person.name}
        await self._stroke(person, part, digit)
        self.server.kill()
        await person.page.context.close()
        await asyncio.to_thread(self.server.start)
        now = {key for key, (who, _) in kept_actions(self.kept).items() if who == person.name}
        if now != mine:
            raise AssertionError(f"kept before the kill {len(mine)} actions of {person.name}, afterwards {len(now)}")
        person.page = await self._page(made)
        await person.open(f"{self.url}&image={image['key']}")
        again = await person.image()
        if again["name"] != image["name"]:
            raise AssertionError(f"{image['name']} was in sight, after the kill {again['name']}")
        await person.page.select_option("#queue", self.queue)
        await person.image()
        await person.page.goto(f"{self.url}&image={image['key']}")
        await person.image()
        self.lost.append(f"a stroke of {person.name} on {image['name']}")
        self.killed += 1

    async def _stroke(self, person: Person, part: np.ndarray, digit: int) -> None:
        """Begin a stroke inside of a defect, and do not end it."""
        await person.tool("brush", "b")
        await person.key(str(digit))
        await person.resize(3)
        x, y, scale = await person.frame()
        inside = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3)
        row, column = np.unravel_index(int(inside.argmax()), inside.shape)
        await person.page.mouse.move(x + scale * (column + 0.5), y + scale * (row + 0.5))
        await person.page.mouse.down()
        await person.page.mouse.move(x + scale * (column + 0.5), y + scale * (row + 1.5), steps=3)

    def _check(self, people: Sequence[Person], before: dict[str, tuple[str, str]]) -> None:
        """Check that each person's actions are on the disk, all of them and no more."""
        after = kept_actions(self.kept)
        if not before.items() <= after.items():
            raise AssertionError("an action of an earlier visit is gone")
        for person in people:
            there = sum(who == person.name for key, (who, _) in after.items() if key not in before)
            if there != person.work.told:
                raise AssertionError(f"{person.name} did {person.work.told} things, kept are {there}")

    async def screen(self, person: Person, stage: str) -> None:
        """Keep a picture of the page."""
        await person.page.screenshot(path=self.screens / f"{self.title}-{stage}-{person.name}.png")


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    """Run a browser of this machine, or Playwright's own."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        made = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield made
        await made.close()
