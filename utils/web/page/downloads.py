"""Pictures and results of a visit by HTTP, made from memory while they are sent: nothing is written to disk.

The address holds the visit's token, which nobody can guess, and keys that are looked up; no path comes from a browser.
What waits for a visit's lock holds no thread while it does: there are some forty for all visits.
"""

import asyncio
import functools
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from fastapi import APIRouter, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from utils.inference.inspected import Inspected
from utils.inference.outputs import (
    CsvTable,
    Defects,
    LabelTable,
    Submission,
    encode_png,
    index_mask_of,
    overlay_of,
    picture_names,
)
from utils.inspection.about import About
from utils.web.page.actions import PageActions
from utils.web.page.drawing import picture
from utils.web.page.visit import Seen, Visit

T = TypeVar("T")

PREFIX = "/page"
AT_ONCE = 2  # answers that are made for one visit at a time
TRY_SECONDS = 0.01  # that a thread waits for a visit's lock
PAUSE_SECONDS = 0.02  # until the next try
HEADERS = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
# An image's key never means another image, so its picture may stay in the browser while the page is open.
KEPT = {"Cache-Control": "private, max-age=600, immutable", "X-Content-Type-Options": "nosniff"}


def make_routes(find_actions: Callable[[], PageActions | None]) -> APIRouter:
    """Make the routes.

    Args:
        find_actions: gives the page's services; None while the page is being made.
    """
    routes = APIRouter(prefix=PREFIX, include_in_schema=False)

    def known(token: str) -> tuple[PageActions, Visit]:
        actions = find_actions()
        visit = actions.visits.find(token) if actions else None
        if actions is None or visit is None:
            raise HTTPException(404, "This visit has ended; load the page again.")
        return actions, visit

    turns = _Turns()

    @routes.get("/{token}/picture/{key}.jpg")
    async def send_picture(token: str, key: str) -> Response:
        actions, visit = known(token)
        packed = await turns.take(visit, lambda: picture(_current(actions, visit, key).image))
        return Response(packed, media_type="image/jpeg", headers=KEPT)

    @routes.get("/{token}/thumb/{key}.jpg")
    async def send_thumbnail(token: str, key: str) -> Response:
        _, visit = known(token)
        seen = visit.images.get(key)
        if seen is None or not seen.thumb:
            raise HTTPException(404, "No such image in this visit.")
        return Response(seen.thumb, media_type="image/jpeg", headers=KEPT)

    @routes.get("/{token}/overlay/{key}.png")
    async def send_overlay(token: str, key: str) -> Response:
        actions, visit = known(token)

        def draw() -> bytes:
            about = actions.inspector(visit).about
            inspected = _current(actions, visit, key)
            return _overlay(inspected, about, visit.images[key])

        png = await turns.take(visit, draw)
        return Response(png, media_type="image/png", headers=_attachment("overlay.png"))

    @routes.get("/{token}/overlays.zip")
    async def send_overlays(token: str) -> Response:
        return await zipped("overlays", *known(token), make=_overlay)

    @routes.get("/{token}/masks.zip")
    async def send_masks(token: str) -> Response:
        return await zipped("masks", *known(token), make=_index_mask)

    @routes.get("/{token}/submission.csv")
    async def send_submission(token: str) -> Response:
        return await table(*known(token), lambda about: Submission(Path("submission.csv"), about.class_ids))

    @routes.get("/{token}/defects.csv")
    async def send_defects(token: str) -> Response:
        return await table(
            *known(token), lambda about: Defects(Path("defects.csv"), about.class_names, about.class_ids)
        )

    @routes.get("/{token}/labels.csv")
    async def send_labels(token: str) -> Response:
        def of(about: About) -> CsvTable:
            if not about.label_names:
                raise HTTPException(404, "These weights judge no whole images.")
            return LabelTable(Path("labels.csv"), about.label_names)

        return await table(*known(token), of)

    async def each(
        actions: PageActions, visit: Visit, make: Callable[[Seen, Inspected], T], images: list[Seen]
    ) -> AsyncIterator[T]:
        """Make something of images one after the other, each decided with the thresholds of now."""

        def made(seen: Seen) -> tuple[T] | None:
            inspected = actions.current(visit, seen, cached=False) if seen.key in visit.images else None
            return None if inspected is None else (make(seen, inspected),)

        for seen in images:
            if found := await turns.take(visit, functools.partial(made, seen)):
                yield found[0]

    async def table(actions: PageActions, visit: Visit, of: Callable[[About], CsvTable]) -> Response:
        """Send a table as ``Predict_masks.py`` writes it."""
        images, about = await turns.take(visit, lambda: (list(visit.images.values()), actions.inspector(visit).about))
        written, text = of(about), io.StringIO()
        sink = written.into(text)

        def render(seen: Seen, inspected: Inspected) -> None:
            sink.collect(seen.name, sink.render(inspected))

        async for _ in each(actions, visit, render, images):
            pass
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=_attachment(written.path.name))

    async def zipped(
        folder: str, actions: PageActions, visit: Visit, make: Callable[[Inspected, About, Seen], bytes]
    ) -> Response:
        """Send a picture of each image, as they are made."""
        images, about = await turns.take(visit, lambda: (list(visit.images.values()), actions.inspector(visit).about))
        names = picture_names([seen.name for seen in images])

        async def chunks() -> AsyncIterator[bytes]:
            pipe = _Pipe()
            with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # PNGs are packed already

                def pack(seen: Seen, inspected: Inspected) -> bytes:
                    name = names.get(seen.name, f"{seen.name}.png")
                    packed.writestr(f"{folder}/{name}", make(inspected, about, seen))
                    return pipe.take()

                async for piece in each(actions, visit, pack, images):
                    yield piece
            yield pipe.take()

        return StreamingResponse(chunks(), media_type="application/zip", headers=_attachment(f"{folder}.zip"))

    return routes


class _Turns:
    """Lets each visit do little at once, and wait without a thread."""

    def __init__(self) -> None:
        self._of_visit: WeakKeyDictionary[Visit, asyncio.Semaphore] = WeakKeyDictionary()

    async def take(self, visit: Visit, work: Callable[[], T]) -> T:
        """Do some work in a thread, under the visit's lock."""

        def attempt() -> tuple[T] | None:
            if not visit.lock.acquire(timeout=TRY_SECONDS):
                return None
            try:
                return (work(),)
            finally:
                visit.lock.release()

        async with self._of_visit.setdefault(visit, asyncio.Semaphore(AT_ONCE)):
            while (done := await run_in_threadpool(attempt)) is None:
                await asyncio.sleep(PAUSE_SECONDS)
        return done[0]


def _current(actions: PageActions, visit: Visit, key: str) -> Inspected:
    seen = visit.images.get(key)
    inspected = actions.current(visit, seen) if seen else None
    if inspected is None:
        raise HTTPException(404, "No such image in this visit.")
    return inspected


def _overlay(inspected: Inspected, about: About, seen: Seen) -> bytes:
    truth = seen.source.truth(*inspected.image.shape[:2])
    labels = truth.of_network(about.class_names, about.task) if truth else None
    return encode_png(overlay_of(inspected, about.class_names, labels))


def _index_mask(inspected: Inspected, about: About, seen: Seen) -> bytes:
    return encode_png(index_mask_of(inspected, about.task, about.class_ids))


def _attachment(name: str) -> dict[str, str]:
    return {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}


class _Pipe(io.RawIOBase):
    """A file that is only written to; what came in since can be taken out."""

    def __init__(self) -> None:
        self._new = bytearray()

    def writable(self) -> bool:
        """Return True: it can be written to."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take bytes in."""
        self._new += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken, self._new = bytes(self._new), bytearray()
        return taken
