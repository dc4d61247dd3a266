"""What the API answers, and that its description says so."""

import base64
import json
import re
import threading

import cv2
import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from config import ServeConfig
from tests.web.red import Red, about, form, make_application, pixels, png
from utils.data.rle import decode, encode
from utils.decision.decision import Decision
from utils.inference.network import Outputs
from utils.inference.pipeline import InspectionPipeline
from utils.inference.systems.single import SingleNetwork
from utils.inspection.inspector import Inspector
from utils.models.spec import ModelSpec
from utils.reporting.overlays import draw_overlay
from utils.web.answers import InspectAnswer
from utils.web.app import Application
from utils.web.metrics import Metrics


@pytest.fixture
def red():
    return Red()


@pytest.fixture
def serve(red):
    """Return a function that makes an application by its flags and changes of what is loaded, and gives a client for it."""
    made = []

    def serve(changes=None, **flags) -> TestClient:
        application = make_application(red, ServeConfig(**flags), changes)
        application.set_ready()
        made.append(application.inspector)
        return TestClient(application.guard, "http://127.0.0.1:7860", raise_server_exceptions=False)

    yield serve
    red.go.set()
    for inspector in made:
        inspector.close(10)


def strip(seed: int = 0, size: tuple[int, int] = (24, 40)) -> np.ndarray:
    """Noise with all kinds of defects, one inside another's box too."""
    image = np.random.default_rng(seed).integers(5, 205, (*size, 3), dtype=np.uint8)
    image[2:14, 2:20, 0] = 100
    image[3, 3:15, 0] = image[3:12, 3, 0] = 210  # an L
    image[6:9, 7:10, 0] = 250  # in its box
    return image


def send(client: TestClient, *files: tuple[str, bytes], query: str = ""):
    return client.post(f"/api/v1/inspect{query}", files=[("images", file) for file in files])


def test_every_defect_is_told_with_its_own_pixels(serve):
    image = strip()
    answer = send(serve(), ("strip.png", png(image))).json()
    InspectAnswer.model_validate(answer)
    (one,) = answer["images"]
    assert (one["index"], one["name"], one["width"], one["height"]) == (0, "strip.png", 40, 24)
    assert (one["verdict"], one["classes"], one["error"]) == ("defective", ["bright", "dark"], None)
    masks = np.stack([image[..., 0] >= 200, image[..., 0] <= 9])
    seen = np.zeros(masks.shape, int)
    for defect in one["defects"]:
        mask = decode(defect["rle"], 24, 40)
        ys, xs = np.nonzero(mask)
        box = {"x": xs.min(), "y": ys.min(), "width": np.ptp(xs) + 1, "height": np.ptp(ys) + 1}
        assert (defect["area_px"], defect["box"]) == (mask.sum(), box)
        assert cv2.connectedComponents(mask, connectivity=8)[0] == 2, "one connected defect"
        assert defect["name"] == ("bright", "dark")[defect["class_id"] - 1]
        assert 0.5 <= defect["mean_probability"] <= 1
        assert encode(mask) == defect["rle"]
        seen[defect["class_id"] - 1] += mask
    np.testing.assert_array_equal(seen, masks)


def test_order_and_names_of_many_images_are_kept(serve):
    images = [(f"{k}.png", png(pixels(value, (8 + k % 3, 9)))) for k, value in enumerate([100, 250, 0, 100, 250, 3])]
    response = send(serve(), *images)
    answer = response.json()
    assert [image["index"] for image in answer["images"]] == list(range(6))
    assert [image["name"] for image in answer["images"]] == [name for name, _ in images]
    assert [image["classes"] for image in answer["images"]] == [[], ["bright"], ["dark"], [], ["bright"], ["dark"]]
    assert [image["verdict"] for image in answer["images"]].count("clean") == 2
    assert answer["id"] == response.headers["x-request-id"]
    assert (answer["weights"], answer["refused"]) == ("red-12345678.pth", 0)


def test_heat_map_comes_as_a_png_when_asked_for(serve):
    client, image = serve(), pixels(250)
    packed = send(client, ("a.png", png(image)), query="?overlay=heatmap").json()["images"][0]["overlay"]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(packed), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == image.shape
    assert (picture != cv2.cvtColor(image, cv2.COLOR_RGB2BGR)).any()


def test_overlay_comes_as_a_png_when_asked_for(serve):
    image, client = strip(), serve()
    assert send(client, ("a.png", png(image))).json()["images"][0]["overlay"] is None
    packed = send(client, ("a.png", png(image)), query="?overlay=png").json()["images"][0]["overlay"]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(packed), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    masks = np.stack([image[..., 0] >= 200, image[..., 0] <= 9])
    np.testing.assert_array_equal(picture, draw_overlay(image, masks, ("bright", "dark")))


def test_a_bad_image_among_good_ones_has_an_error_of_its_own(serve):
    answer = send(serve(), ("a.png", png(pixels(250))), ("b.pdf", b"%PDF-1.4"), ("c.png", png(pixels(100))))
    assert answer.status_code == 200
    InspectAnswer.model_validate(answer.json())
    images = answer.json()["images"]
    assert [image["verdict"] for image in images] == ["defective", None, "clean"]
    assert images[1]["error"] == {
        "code": "not_an_image",
        "message": "The file is a PDF; send JPEG, PNG, BMP, TIFF or WebP.",
        "id": None,
    }
    assert answer.json()["refused"] == 1


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ([("a.pdf", b"%PDF-1.4")], 415, "not_an_image"),
        ([("a.jpg", b"")], 422, "empty"),
        ([("a.png", png(strip())[:900])], 422, "truncated"),
        ([("a.png", png(pixels(0, (200, 60))))], 413, "too_many_pixels"),
        ([("a.jpg", b""), ("b.jpg", b"x")], 422, "empty"),
        ([("a.png", png(pixels(1)))] * 5, 413, "too_many_images"),
        ([("a.bin", bytes(1_100_000))], 413, "too_many_bytes"),
        ([], 415, "not_multipart"),
    ],
)
def test_request_without_a_good_image_is_a_clear_4xx(serve, files, status, code):
    response = send(serve(max_images=4, max_mb=1, max_pixels=10_000), *files)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert error["id"] == response.headers["x-request-id"]
    assert error["message"].endswith(".")


def test_a_bug_of_ours_is_a_number_and_no_traceback(serve, caplog):
    response = send(serve(), ("a.png", png(pixels(13))))
    assert response.status_code == 500
    message = response.json()["error"]["message"]
    assert "a bug" not in message
    assert message.split("error, ")[1].split()[0] in caplog.text


def test_an_unexpected_error_in_a_route_is_a_number_too(serve, caplog, monkeypatch):
    client = serve()
    monkeypatch.setattr("utils.web.api.join", None)
    response = send(client, ("a.png", png(pixels(100))))
    assert (response.status_code, response.json()["error"]["code"]) == (500, "failed")
    assert response.json()["error"]["id"] == response.headers["x-request-id"]
    assert response.headers["x-request-id"] in caplog.text
    assert "NoneType" not in response.text


def test_full_queue_answers_503_with_a_time(serve, red):
    client = serve(queue=2, max_images=2)
    red.go.clear()
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(send(client, ("a.png", png(pixels(250))), ("b.png", png(pixels(100)))))
    )
    first.start()
    while "steel_images_inside 2.0" not in client.get("/metrics").text:
        pass
    refused = send(client, ("c.png", png(pixels(250))))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    red.go.set()
    first.join(20)
    assert [image["verdict"] for image in answers[0].json()["images"]] == ["defective", "clean"]


def test_what_takes_too_long_is_a_408_and_is_dropped(serve, red):
    client = serve(max_seconds=1)
    red.go.clear()
    response = send(client, ("a.png", png(pixels(250))))
    assert (response.status_code, response.json()["error"]["code"]) == (408, "timeout")


def test_a_classifier_answers_with_labels_and_no_defects(red):
    class Judge(Red):
        def __call__(self, images, choose=None):
            return Outputs(None, torch.tensor([[4.0] if image.mean() > 128 else [-4.0] for image in images]))

    known = {
        "class_names": (),
        "decision": Decision((), ()),
        "label_names": ("defect",),
    }
    spec = ModelSpec("classifier", "resnet18", "classify-binary", ("bright",), 3)
    pipeline = InspectionPipeline(SingleNetwork(Judge(), spec, None), Decision((), ()))
    inspector = Inspector(pipeline, about(**known, label_thresholds=(0.5,), task="classify-binary"))
    client = TestClient(Application(inspector, ServeConfig(), Metrics()).guard, "http://127.0.0.1:7860")
    images = send(client, ("a.png", png(pixels(250))), ("b.png", png(pixels(3))), query="?overlay=png").json()["images"]
    assert [image["labels"] for image in images] == [{"defect": 0.982}, {"defect": 0.018}]
    assert [image["classes"] for image in images] == [["defect"], []]
    assert [image["verdict"] for image in images] == ["defective", "clean"]
    assert [image["defects"] for image in images] == [[], []]
    assert client.get("/api/v1/model").json()["labels"] == [{"name": "defect", "threshold": 0.5}]
    inspector.close(10)


def test_model_says_what_is_loaded_and_what_is_allowed(serve):
    model = serve({"first_class": 3, "card": "# red"}, max_images=7, max_mb=2).get("/api/v1/model").json()
    assert (model["name"], model["file"], model["kind"], model["backend"]) == (
        "red",
        "red-12345678.pth",
        "network",
        "red",
    )
    assert model["classes"] == [
        {"class_id": 3, "name": "bright", "threshold": 0.5, "high_threshold": 0.0, "min_area": 0, "max_area": None},
        {"class_id": 4, "name": "dark", "threshold": 0.5, "high_threshold": 0.0, "min_area": 0, "max_area": 100_000},
    ]
    assert model["card"] == "# red"
    assert model["limits"]["max_images"] == 7
    assert model["limits"]["formats"] == ["JPEG", "PNG", "BMP", "TIFF", "WEBP"]


def test_health_and_readiness(red):
    application = make_application(red, ServeConfig())
    client = TestClient(application.guard, "http://localhost:7860")
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").headers["retry-after"] == "1"
    application.set_ready()
    assert client.get("/readyz").json() == {"status": "ready"}
    application.traffic.closing = True
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    application.inspector.close(10)


def test_metrics_count_requests_images_and_defects(serve):
    client = serve()
    send(client, ("a.png", png(pixels(250))), ("b.png", png(pixels(100))), ("c.pdf", b"%PDF"))
    client.get("/api/v1/made-up")
    client.get("/made-up")
    text = client.get("/metrics").text
    for line in (
        'steel_requests_total{route="/api/v1/inspect",status="200"} 1.0',
        'steel_requests_total{route="api",status="404"} 1.0',
        'steel_requests_total{route="page",status="404"} 1.0',
        'steel_images_total{verdict="defective"} 1.0',
        'steel_images_total{verdict="clean"} 1.0',
        'steel_images_total{verdict="not_an_image"} 1.0',
        'steel_defects_total{name="bright"} 1.0',
        "steel_images_inside 0.0",
        "steel_images_room 64.0",
        "steel_ready 1.0",
        'steel_weights_info{backend="red",file="red-12345678.pth"} 1.0',
    ):
        assert line in text, line
    assert re.search(r"steel_batch_images_count [12]\.0", text)


def test_nothing_is_written_unless_asked(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    big = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    big[..., 0] = 100
    assert len(png(big)) > 2**20
    assert send(serve(), ("../../big.png", png(big))).status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_save_keeps_images_and_answer_under_names_of_ours(serve, tmp_path):
    files = [("../../../etc/passwd", png(pixels(250))), ("b.jpg", cv2.imencode(".jpg", pixels(99))[1].tobytes())]
    response = send(serve(save=tmp_path / "kept"), *files, ("c.pdf", b"%PDF"))
    (day,) = (tmp_path / "kept").iterdir()
    (place,) = day.iterdir()
    assert place.name == response.json()["id"]
    assert sorted(path.name for path in place.iterdir()) == ["0.png", "1.jpg", "2.bin", "answer.json", "record.json"]
    assert (place / "0.png").read_bytes() == files[0][1]
    assert json.loads((place / "answer.json").read_text("utf-8")) == response.json()
    assert response.json()["images"][0]["name"] == "passwd"


def test_a_disk_that_is_full_is_logged_and_the_answer_given(serve, tmp_path, caplog):
    client = serve(save=tmp_path / "kept")
    (tmp_path / "kept").write_text("a file is in the way")
    assert send(client, ("a.png", png(pixels(250)))).status_code == 200
    assert "is not saved" in caplog.text


def test_description_has_every_route_with_examples_and_errors(serve):
    described = serve(token="a-token-of-some-length").get(
        "/api/v1/openapi.json", headers={"Authorization": "Bearer a-token-of-some-length"}
    )
    document = described.json()
    api = {"/api/v1/inspect", "/api/v1/model", "/api/v1/weights"}
    assert set(document["paths"]) == {*api, "/healthz", "/readyz", "/metrics"}
    inspect = document["paths"]["/api/v1/inspect"]["post"]
    assert {"200", "400", "401", "403", "408", "413", "415", "421", "422", "431", "503"} == set(inspect["responses"])
    assert inspect["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]
    assert inspect["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["images"]
    for name, form_of in document["components"]["schemas"].items():
        for field, known in form_of.get("properties", {}).items():
            assert (
                "description" in known
                or "examples" in known
                or "$ref" in known
                or "enum" in known
                or "const" in known
                or "items" in known
            ), (name, field)
    example = inspect["responses"]["422"]["content"]["application/json"]["example"]
    assert set(example["error"]) == {"code", "message", "id"}


def test_named_origins_may_call_and_others_not(serve):
    client = serve(origins=("https://line3.example.com",), token="a-token-of-some-length")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = client.options("/api/v1/inspect", headers={"Origin": "https://line3.example.com", **asked})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://line3.example.com"
    other = client.options("/api/v1/inspect", headers={"Origin": "https://evil.example.com", **asked})
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers
    sent = client.get(
        "/api/v1/model",
        headers={"Origin": "https://line3.example.com", "Authorization": "Bearer a-token-of-some-length"},
    )
    assert sent.headers["access-control-allow-origin"] == "https://line3.example.com"


def test_named_origins_may_read_what_the_guard_answers_and_others_not(serve):
    token = "a-token-of-some-length"
    client = serve(origins=("https://line3.example.com",), token=token, max_mb=1)
    places = client.app.places
    right, wrong = ({"Authorization": f"Bearer {word}"} for word in (token, "wrong"))
    refusals = {}
    for origin in ("https://line3.example.com", "https://evil.example.com"):
        asked = {"Origin": origin}
        answers = [
            client.get("/api/v1/model", headers={**asked, **wrong}),
            client.post("/api/v1/inspect", content=bytes(2_000_000), headers={**asked, **right}),
            client.post("/api/v1/inspect", files={"images": png(pixels(13))}, headers={**asked, **right}),
        ]
        places.most_requests, most = 0, places.most_requests
        answers.append(client.get("/api/v1/model", headers={**asked, **right}))
        places.most_requests = most
        refusals[origin] = answers
    allowed, others = refusals.values()
    assert [answer.status_code for answer in allowed] == [401, 413, 500, 503]
    for answer in allowed:
        assert answer.headers.get_list("access-control-allow-origin") == ["https://line3.example.com"]
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
    assert not any("access-control-allow-origin" in answer.headers for answer in others)


@pytest.mark.parametrize("state", ["busy", "closing"])
def test_a_page_of_another_origin_hears_that_the_server_is_busy_or_closing(serve, state):
    """A browser that is refused the preflight tells its page of a broken connection only."""
    client = serve(origins=("https://line3.example.com",))
    traffic, origin = client.app.traffic, {"Origin": "https://line3.example.com"}
    places = client.app.places
    most = places.most_requests
    places.most_requests, traffic.closing = (0, False) if state == "busy" else (most, True)
    try:
        first = client.options("/api/v1/inspect", headers={**origin, "Access-Control-Request-Method": "POST"})
        answer = client.post("/api/v1/inspect", files={"images": png(pixels(13))}, headers=origin)
        other = client.options("/api/v1/inspect", headers=origin)  # no preflight
    finally:
        places.most_requests, traffic.closing = most, False
    assert (first.status_code, first.headers["access-control-allow-origin"]) == (200, origin["Origin"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, state)
    assert other.status_code == 503


def test_forms_that_other_programs_write(serve):
    """Names of any script, quoted and not, with a content type and a trailing text."""
    body = (
        form([('straße "3".png', png(pixels(250)))])
        .replace(b'"3"', b"%223%22")
        .replace(b"\r\n\r\n", b"\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\n", 1)
    )
    kind = {"Content-Type": 'multipart/form-data; charset=utf-8; boundary="xyz"'}
    answer = serve().post("/api/v1/inspect", content=body + b"epilogue", headers=kind)
    assert answer.json()["images"][0]["name"] == "straße %223%22.png"


@pytest.mark.parametrize(
    ("labels", "found", "threshold", "doubt"),
    [
        (None, (), 0.5, None),
        ([0.1, 0.72], (), 0.5, "cracks has a probability of 0.72 in the image, but no pixel passed the decision"),
        ([0.1, 0.72], (), 0.8, "cracks has a probability of 0.72 in the image, but below the gate's threshold of 0.80"),
        ([0.1, 0.72], ("pits",), 0.5, None),
        ([0.1, 0.4], (), 0.3, None),
    ],
)
def test_a_clean_verdict_tells_what_speaks_against_it(labels, found, threshold, doubt):
    known = about(label_names=("pits", "cracks"), label_thresholds=(threshold,) * 2)
    assert known.doubt(None if labels is None else np.array(labels, np.float32), found) == doubt
    assert about(class_names=(), label_names=("defect",), label_thresholds=(0.8,)).doubt(np.ones(1), ()) is None
