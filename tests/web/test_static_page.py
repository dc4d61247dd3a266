"""The files of the page: served as they are, under a policy that lets nothing else in."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from utils.web.static_page import FOLDER, POLICY, page_routes

MODULES = sorted((FOLDER / "modules").glob("*.js"))
VENDORED = sorted(path for path in (FOLDER / "vendor").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.include_router(page_routes())
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page/modules/main.js", "text/javascript"),
        ("/page/css/desk.css", "text/css"),
        ("/page/languages/de.json", "application/json"),
        ("/favicon.ico", "image/svg+xml"),
    ],
)
def test_file_comes_with_its_kind_the_policy_and_a_tag(client, path, kind):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    assert answer.headers["content-security-policy"] == POLICY
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_policy_allows_no_script_but_our_files():
    parts = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert parts["script-src"] == "'self'"
    assert parts["default-src"] == "'none'"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "../limits.py",
        "..%2flimits.py",
        "%2e%2e/%2e%2e/config.py",
        "modules/",
        "vendor/openseadragon-6.1.1/LICENSE",
    ],
)
def test_other_files_are_not_there(client, name):
    assert client.get(f"/page/{name}").status_code == 404


def test_page_names_no_other_server_and_no_code_of_its_own():
    text = (FOLDER / "index.html").read_text("utf-8")
    assert re.findall(r'(?:src|href)="(?:https?:|//)[^"]*"', text) == []
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|\son\w+=|\sstyle=", text) == []
    for name in re.findall(r'(?:src|href)="page/([^"]+)"', text):
        assert (FOLDER / name).is_file(), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_module_is_one_concern_and_sets_text_as_text(path):
    text = path.read_text("utf-8")
    assert text.startswith("// ")
    assert len(text.splitlines()) < 400
    assert re.findall(r"\b(innerHTML|outerHTML|insertAdjacentHTML|eval|document\.write|new Function)\b", text) == []
    for name in re.findall(r'from "\./([^"]+)"', text):
        assert (path.parent / name).is_file(), name


@pytest.mark.parametrize("folder", VENDORED, ids=lambda path: path.name)
def test_vendored_library_names_version_and_licence(folder: Path):
    version = (folder / "VERSION").read_text("utf-8").strip()
    assert folder.name.endswith(version)
    assert (folder / "LICENSE").read_text("utf-8").strip()
