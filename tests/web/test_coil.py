"""The page of a coil and its files at /coil."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config import ServeConfig
from utils.commands.serve import check
from utils.errors import InputError
from utils.web.coil import coil_routes


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "coil4711"
    made.mkdir()
    for name, text in (("coil.html", "<p>page</p>"), ("defects.csv", "defect\n1\n"), ("grade.json", "{}")):
        (made / name).write_text(text)
    (made / "secret.txt").write_text("no")
    (tmp_path / "coil.html").write_text("another")
    return made


@pytest.fixture
def client(folder):
    app = FastAPI()
    app.include_router(coil_routes(folder))
    return TestClient(app, "http://127.0.0.1:7860")


def test_page_and_tables_are_served_where_the_page_links_them(client):
    answer = client.get("/coil", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "coil/")
    page = client.get("/coil")
    assert (page.status_code, page.text, str(page.url)) == (200, "<p>page</p>", "http://127.0.0.1:7860/coil/")
    assert page.headers["content-type"].startswith("text/html")
    assert client.get("/coil/defects.csv").text == "defect\n1\n"
    assert client.get("/coil/grade.json").headers["content-type"] == "application/json"
    assert client.head("/coil/").status_code == 200


@pytest.mark.parametrize(
    "path", ["secret.txt", "../coil.html", "%2e%2e/coil.html", "..%2fcoil.html", "repeats.csv", "%00"]
)
def test_nothing_else_is_served(client, path):
    assert client.get(f"/coil/{path}").status_code == 404


def test_page_is_read_anew(client, folder):
    assert client.get("/coil/").text == "<p>page</p>"
    (folder / "coil.html").write_text("<p>later</p>")
    assert client.get("/coil/").text == "<p>later</p>"
    (folder / "coil.html").unlink()
    assert client.get("/coil/").status_code == 404


@pytest.mark.parametrize(("name", "said"), [("none", "no such folder"), ("empty", "holds no coil.html")])
def test_folder_without_a_page_is_refused_at_start(tmp_path, name, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said) as caught:
        check(ServeConfig(coil=tmp_path / name))
    assert "name " in str(caught.value)
    assert "Map_coil.py" in str(caught.value)
