"""The page of a coil that ``Map_coil.py`` wrote, and the files beside it, at ``/coil``."""

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, RedirectResponse, Response

from utils.coil.outputs import FILES, PAGE, PICTURE
from utils.errors import InputError

HEADERS = {"Cache-Control": "private, no-cache"}  # a coil that is mapped anew is seen at once
KINDS = {".html": "text/html", ".json": "application/json", ".csv": "text/csv", ".png": "image/png"}


def check_coil(folder: Path) -> None:
    """Raise ``InputError`` where a folder of ``-coil`` has no page."""
    if not folder.is_dir():
        raise InputError(f"-coil {folder}: no such folder; name one that Map_coil.py wrote")
    if not (folder / PAGE).is_file():
        raise InputError(f"-coil {folder}: holds no {PAGE}; name a folder that Map_coil.py wrote")


def coil_routes(folder: Path) -> APIRouter:
    """Make the routes.

    Args:
        folder: that ``Map_coil.py`` wrote. Its files are read when they are asked for; no path comes from a browser.
    """
    routes = APIRouter(include_in_schema=False)

    def send(name: str) -> Response:
        path = folder / name
        if name not in (PAGE, PICTURE, *FILES) or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type=KINDS.get(path.suffix, "application/octet-stream"), headers=HEADERS)

    @routes.api_route("/coil", methods=["GET", "HEAD"])
    def enter() -> Response:
        # Relative: behind a proxy the server may lie at another place.
        return RedirectResponse("coil/")

    @routes.api_route("/coil/", methods=["GET", "HEAD"])
    def show() -> Response:
        return send(PAGE)

    @routes.api_route("/coil/{name}", methods=["GET", "HEAD"])
    def file(name: str) -> Response:
        return send(name)

    return routes
