"""Pictures and results of a visit by HTTP, made from memory while they are sent: nothing is written to disk.

The address holds the visit's token, which nobody can guess, and keys that are looked up; no path comes from a browser.
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response
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
from utils.web.about import About
from utils.web.page.actions import PageActions
from utils.web.page.drawing import picture
from utils.web.page.visit import Seen, Visit

PREFIX = "/page"
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

    @routes.get("/{token}/picture/{key}.jpg")
    def send_picture(token: str, key: str) -> Response:
        actions, visit = known(token)
        return Response(picture(_current(actions, visit, key).image), media_type="image/jpeg", headers=KEPT)

    @routes.get("/{token}/thumb/{key}.jpg")
    def send_thumbnail(token: str, key: str) -> Response:
        _, visit = known(token)
        seen = visit.images.get(key)
        if seen is None or not seen.thumb:
            raise HTTPException(404, "No such image in this visit.")
        return Response(seen.thumb, media_type="image/jpeg", headers=KEPT)

    @routes.get("/{token}/overlay/{key}.png")
    def send_overlay(token: str, key: str) -> Response:
        actions, visit = known(token)
        with visit.lock:
            about = actions.inspector(visit).about
            inspected = _current(actions, visit, key)
            png = _overlay(inspected, about, visit.images[key])
        return Response(png, media_type="image/png", headers=_attachment("overlay.png"))

    @routes.get("/{token}/overlays.zip")
    def send_overlays(token: str) -> Response:
        return _zip("overlays", *known(token), make=_overlay)

    @routes.get("/{token}/masks.zip")
    def send_masks(token: str) -> Response:
        return _zip("masks", *known(token), make=_index_mask)

    @routes.get("/{token}/submission.csv")
    def send_submission(token: str) -> Response:
        actions, visit = known(token)
        about = actions.inspector(visit).about
        return _table(actions, visit, Submission(Path("submission.csv"), about.first_class))

    @routes.get("/{token}/defects.csv")
    def send_defects(token: str) -> Response:
        actions, visit = known(token)
        about = actions.inspector(visit).about
        return _table(actions, visit, Defects(Path("defects.csv"), about.class_names, about.first_class))

    @routes.get("/{token}/labels.csv")
    def send_labels(token: str) -> Response:
        actions, visit = known(token)
        about = actions.inspector(visit).about
        if not about.label_names:
            raise HTTPException(404, "These weights judge no whole images.")
        return _table(actions, visit, LabelTable(Path("labels.csv"), about.label_names))

    return routes


def _current(actions: PageActions, visit: Visit, key: str) -> Inspected:
    with visit.lock:
        seen = visit.images.get(key)
        inspected = actions.current(visit, seen) if seen else None
    if inspected is None:
        raise HTTPException(404, "No such image in this visit.")
    return inspected


def _all(actions: PageActions, visit: Visit) -> Iterator[tuple[Seen, Inspected]]:
    """Return all images of a visit one after the other, each decided with the thresholds of now."""
    with visit.lock:
        images = list(visit.images.values())
    for seen in images:
        with visit.lock:
            inspected = actions.current(visit, seen, cached=False) if seen.key in visit.images else None
        if inspected is not None:
            yield seen, inspected


def _table(actions: PageActions, visit: Visit, table: CsvTable) -> Response:
    """Send a table as ``Predict_masks.py`` writes it."""
    text = io.StringIO()
    sink = table.into(text)
    for seen, inspected in _all(actions, visit):
        path = Path(seen.name)
        sink.collect(path, sink.render(path, inspected))
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=_attachment(table.path.name))


def _zip(folder: str, actions: PageActions, visit: Visit, make: Callable[[Inspected, About, Seen], bytes]) -> Response:
    """Send a picture of each image, as they are made."""
    about = actions.inspector(visit).about
    with visit.lock:
        paths = [Path(seen.name) for seen in visit.images.values()]
    names = picture_names(paths)

    def chunks() -> Iterator[bytes]:
        pipe = _Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # PNGs are packed already
            for seen, inspected in _all(actions, visit):
                name = names.get(Path(seen.name), f"{seen.name}.png")
                packed.writestr(f"{folder}/{name}", make(inspected, about, seen))
                yield pipe.take()
        yield pipe.take()

    return StreamingResponse(chunks(), media_type="application/zip", headers=_attachment(f"{folder}.zip"))


def _overlay(inspected: Inspected, about: About, seen: Seen) -> bytes:
    truth = seen.source.truth(*inspected.image.shape[:2])
    labels = truth.of_network(about.class_names, about.task) if truth else None
    return encode_png(overlay_of(inspected, about.class_names, labels))


def _index_mask(inspected: Inspected, about: About, seen: Seen) -> bytes:
    return encode_png(index_mask_of(inspected, about.task, about.first_class))


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
