"""Context, other thresholds, raw bodies and other weights of a request; what is not known is refused."""

import json

import pytest
from starlette.testclient import TestClient

from config import VERSION, ServeConfig
from tests.web.red import Red, form, make_application, make_inspector, pixels, png
from utils.inspection.choosing import Inspectors

GOOD = png(pixels(250, (8, 8)))
FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def client(kept):
    red = Red()
    application = make_application(red, ServeConfig(save=kept))

    def open_file(path):
        return make_inspector(
            Red(), {"name": "second", "file": "second-00000000.pth", "class_names": ("pits", "cracks")}
        )

    api = application.api
    api.inspectors = Inspectors(api.inspector, {"second": kept / "second-00000000.pth"}, open_file)
    application.set_ready()
    yield TestClient(application.guard, "http://127.0.0.1:7860", raise_server_exceptions=False)
    api.inspectors.close()
    application.inspector.close(10)


def inspect(client, query="", body=None, **headers):
    sent = form([("a.png", GOOD)]) if body is None else body
    return client.post(f"/api/v1/inspect{query}", content=sent, headers={**FORM, **headers})


def with_fields(**fields):
    texts = [
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    return b"".join(texts) + form([("a.png", GOOD)])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["bright"]),
        ("?threshold=0.9", ["bright"]),
        ("?threshold=1", []),
        ("?threshold=1,0.5", []),
        ("?threshold=0.5,1", ["bright"]),
        ("?min_area=64", ["bright"]),
        ("?min_area=65", []),
        ("?max_area=63", []),
        ("?max_area=0", ["bright"]),
        ("?high_threshold=1", []),
    ],
)
def test_thresholds_of_a_request_count_for_it_alone(client, query, found):
    answer = inspect(client, query).json()
    assert answer["images"][0]["classes"] == found
    own = inspect(client).json()
    assert own["images"][0]["classes"] == ["bright"]
    assert (answer["settings"] == own["settings"]) == (query in ("", "?threshold=0.5"))


def test_context_comes_back_and_is_kept(client, kept):
    answer = inspect(client, "?camera=left&meta.roll=R4", with_fields(coil_id="A7", position_m="12.5")).json()
    told = {"camera": "left", "roll": "R4", "coil_id": "A7", "position_m": 12.5}
    assert answer["meta"] == told
    (record,) = kept.glob(f"*/{answer['id']}/record.json")
    record = json.loads(record.read_text("utf-8"))
    assert record["meta"] == told
    assert (record["version"], record["weights"], record["settings"]) == (
        VERSION,
        answer["weights"],
        answer["settings"],
    )
    assert len(record["sha256"][0]) == 64
    assert record["time"][:2] == "20"
    assert record["decision"]["thresholds"] == {"bright": 0.5, "dark": 0.5}


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp"])
def test_an_image_may_be_the_body(client, kind):
    answer = client.post("/api/v1/inspect?name=a/b.png&coil_id=7", content=GOOD, headers={"Content-Type": kind}).json()
    assert (answer["images"][0]["name"], answer["images"][0]["verdict"]) == ("b.png", "defective")
    assert answer["meta"] == {"coil_id": "7"}


def test_other_weights_by_name(client):
    listed = client.get("/api/v1/weights").json()["weights"]
    assert [(one["name"], one["loaded_at_start"]) for one in listed] == [("red", True), ("second", False)]
    answer = inspect(client, "?weights=second").json()
    assert (answer["weights"], answer["images"][0]["classes"]) == ("second-00000000.pth", ["pits"])
    assert client.get("/api/v1/model?weights=second").json()["name"] == "second"
    assert inspect(client, "?weights=red").json()["weights"] == "red-12345678.pth"


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("?treshold=0.5", None, "unknown_parameter"),
        ("?threshold=0.5&threshold=0.6", None, "wrong_value"),
        ("?threshold=2", None, "wrong_value"),
        ("?threshold=nan", None, "wrong_value"),
        ("?threshold=1e-3", None, "wrong_value"),
        ("?threshold=0.5,0.5,0.5", None, "wrong_value"),
        ("?threshold=", None, "wrong_value"),
        ("?min_area=0.5", None, "wrong_value"),
        ("?min_area=9&max_area=3", None, "wrong_value"),
        ("?overlay=jpg", None, "wrong_value"),
        ("?weights=", None, "wrong_value"),
        ("?coil_id=", None, "wrong_value"),
        ("?weights=../x", None, "unknown_weights"),
        ("?position_m=far", None, "wrong_value"),
        ("?meta.a%20b=1", None, "wrong_value"),
        ("?coil_id=" + "x" * 201, None, "wrong_value"),
        ("", with_fields(colour="red"), "unknown_field"),
        ("", with_fields(**{"meta.": "1"}), "wrong_value"),
    ],
)
def test_what_is_not_known_or_wrong_is_refused(client, query, body, code):
    answer = inspect(client, query, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


def test_other_routes_refuse_parameters_too(client):
    for path in ("model?x=1", "weights?x=1"):
        assert client.get(f"/api/v1/{path}").json()["error"]["code"] == "unknown_parameter"
