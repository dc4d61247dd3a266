"""The page for inspectors: files of ``utils/web/page``, as they are, under a policy that lets nothing else in.

The page asks the server by relative addresses only, so that it may lie at any path behind a proxy.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, HTTPException, Request, Response

FOLDER = Path(__file__).with_name("page")
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
# OpenSeadragon writes this rule into the page when it starts; nothing else that is written so is let in.
_RULE = "@media (hover: none) {    .openseadragon-canvas:focus {        outline: none !important;    }}"
_RULE_HASH = base64.b64encode(hashlib.sha256(_RULE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{_RULE_HASH}'; img-src 'self' blob: data:;"
    " connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'self'"
)


def page_routes(folder: Path = FOLDER, more: Mapping[str, Path] = MappingProxyType({})) -> APIRouter:
    """Make the routes of the page: itself at ``/``, what belongs to it below ``/page``.

    Args:
        folder: that holds the files; what is in it when the server starts is all there is.
        more: files that lie elsewhere, by their names below ``/page``.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in KINDS}
    files |= more
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    def index(request: Request) -> Response:
        return _send(request, files["index.html"])

    @routes.api_route("/page/{name:path}", methods=["GET", "HEAD"])
    def file(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _send(request, files[name])

    @routes.api_route("/favicon.ico", methods=["GET", "HEAD"])
    def icon(request: Request) -> Response:
        return _send(request, files["icon.svg"])

    return routes


def _send(request: Request, path: Path) -> Response:
    """Send a file, or say that the browser has it: it asks each time, so that an update is seen at once."""
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=KINDS[path.suffix], headers=headers)
