"""The line's server: state, health, metrics, the page, and frames that programs push."""

import json
import threading
import time

import pytest
import requests

from tests.line.conftest import BrightInspector, eventually, jpeg
from utils.errors import InputError
from utils.line.address import Address
from utils.line.rules import Rules
from utils.line.service import Service, Settings
from utils.line.sources.push import PushSource
from utils.line.sources.source import SourceOptions
from utils.line.spool import Spool
from utils.web.line.serving import LineServer, parse_address


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """Run a service that frames are pushed to; give its address and itself."""
    with Spool(tmp_path_factory.mktemp("spool"), ["nobody"]) as spool:
        service = Service(BrightInspector(), spool, Rules(), Settings(stale=60, drain=1))
        push = PushSource(Address.parse("push://", "-source"), SourceOptions())
        service.add_source(push)
        server = LineServer(("127.0.0.1", 0), service, push, "mill <b>2</b>", max_mb=1)
        server.start()
        service.start()

        def answers():
            try:
                return requests.get(f"{server.address}/healthz", timeout=5).ok
            except requests.ConnectionError:
                return False

        assert eventually(answers)
        yield server.address, service
        service.stop()
        server.close()


def push(address, data, **words):
    return requests.post(f"{address}/api/v1/line/frames", data=data, params=words, timeout=10)


def test_pushed_frame_is_answered_by_its_event(line):
    address, service = line
    answer = push(address, jpeg(200), name="a.jpg", camera="top", position_m="1.5", coil_id="7")
    assert answer.status_code == 200
    event = answer.json()
    assert (event["verdict"], event["frame"], event["camera"], event["position_m"], event["coil_id"]) == (
        "NG",
        "a.jpg",
        "top",
        1.5,
        "7",
    )
    assert service.knows(event["id"])
    again = push(address, jpeg(200), name="a.jpg")  # its sender has not got the answer
    assert again.json() == {"id": event["id"], "known": True}


def test_what_is_no_image_has_no_verdict(line):
    assert push(line[0], b"no image", name="b").json()["verdict"] == "NO_VERDICT"


@pytest.mark.parametrize(
    ("words", "status"), [({"name": "a\nb"}, 422), ({"position_m": "nan"}, 422), ({"key": "x" * 201}, 422)]
)
def test_words_that_make_no_sense_are_refused(line, words, status):
    assert push(line[0], jpeg(), **words).status_code == status


def test_too_large_a_frame_is_refused(line):
    assert push(line[0], b"x" * 2_000_000).status_code == 413


def test_state_and_pictures_of_the_last_frames(line):
    address, _ = line
    push(address, jpeg(220, seed=9), name="ng.jpg")
    found = requests.get(f"{address}/api/v1/line", timeout=5).json()
    assert found["line"] == "mill <b>2</b>"
    assert found["state"]["condition"] == "running"
    newest = found["frames"][0]
    assert (newest["frame"], newest["verdict"], newest["defects"]) == ("ng.jpg", "NG", 1)
    assert found["ng"][0]["id"] == newest["id"]
    picture = requests.get(f"{address}/api/v1/line/frames/{newest['id']}.jpg", timeout=5)
    assert picture.content[:3] == b"\xff\xd8\xff"
    assert requests.get(f"{address}/api/v1/line/frames/none.jpg", timeout=5).status_code == 404


def test_health_tells_a_fault(line):
    address, service = line
    answer = requests.get(f"{address}/healthz", timeout=5)
    assert (answer.status_code, answer.json()["healthy"]) == (200, True)
    service._faults["spool"] = "the disk is full"
    answer = requests.get(f"{address}/healthz", timeout=5)
    del service._faults["spool"]
    assert (answer.status_code, answer.json()["reason"]) == (503, "the disk is full")


def test_metrics_are_those_of_the_dashboard(line):
    from pathlib import Path

    text = requests.get(f"{line[0]}/metrics", timeout=5).text
    board = json.loads((Path(__file__).parents[3] / "deploy/grafana/line.json").read_text("utf-8"))
    asked = {word for panel in board["panels"] for target in panel["targets"] for word in _names(target["expr"])}
    assert len(asked) >= 10
    assert {name for name in asked if f"# TYPE {name.removesuffix('_total')}" not in text} == set()


def _names(expression):
    import re

    return re.findall(r"steel_line_\w+", expression)


def test_orders_are_done_or_refused(line):
    address, service = line

    def send(body):
        return requests.post(f"{address}/api/v1/line/orders", data=body, timeout=5).status_code

    assert send('{"order": "coil", "coil_id": "C2"}') == 200
    assert eventually(lambda: service.state.coil_id == "C2")
    wrong = ("[" * 1000, " " * 100_000, "{", "[]", '{"kind": "pause"}', '{"order": "stop"}')
    assert {send(body) for body in (*wrong, '{"order": "coil", "coil_id": "../x"}')} == {422}
    answer = requests.post(f"{address}/api/v1/line/orders", data='{"order": "resume", "id": "7"}', timeout=5)
    assert answer.json() == {"ok": True, "id": "7"}


def test_page_has_a_policy_and_its_files(line):
    address, _ = line
    page = requests.get(f"{address}/", timeout=5)
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name in ("line.js", "line.css", "base.css", "icon.svg"):
        assert f"page/{name}" in page.text
        assert requests.get(f"{address}/page/{name}", timeout=5).ok


def test_pages_of_other_sites_may_not_ask(line):
    assert requests.get(f"{line[0]}/api/v1/line", headers={"Host": "evil.example"}, timeout=5).status_code == 421


def test_other_computers_need_a_token(tmp_path):
    with Spool(tmp_path) as spool, pytest.raises(InputError, match="other computers"):
        LineServer(("0.0.0.0", 0), Service(BrightInspector(), spool, Rules()), None, "line")


@pytest.mark.parametrize("text", ["", "7870", "host:", ":7870", "host:port", "host:99999"])
def test_address_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="HOST:PORT"):
        parse_address(text)


def test_state_costs_little(line):
    begin = time.process_time()
    for _ in range(50):
        _ = line[1].state
    assert (time.process_time() - begin) / 50 < 0.02


def test_sender_that_went_before_its_event_stops_nothing(line, monkeypatch):
    """As on a full disk: nobody may wait for ever, and the event is written all the same."""
    address, service = line
    monkeypatch.setattr("utils.web.line.routes.ANSWER_SECONDS", 0.05)
    real, full = service._spool.extend, threading.Event()

    def extend(events):
        assert full.wait(10)
        return real(events)

    monkeypatch.setattr(service._spool, "extend", extend)
    assert push(address, jpeg(seed=77), name="late.jpg").status_code == 503
    full.set()
    assert eventually(lambda: service.last and service.last[-1].event.frame == "late.jpg")
    monkeypatch.setattr("utils.web.line.routes.ANSWER_SECONDS", 10.0)
    assert push(address, jpeg(seed=78), name="next.jpg").json()["verdict"] == "OK"


def test_page_is_sent_while_the_spool_waits_for_its_disk(line):
    address, service = line
    answers = []
    with service._spool._lock:
        pushing = threading.Thread(target=lambda: answers.append(push(address, jpeg(seed=79), name="waits.jpg")))
        pushing.start()
        time.sleep(0.2)  # it waits for the spool now
        assert requests.get(f"{address}/", timeout=5).ok
    pushing.join(10)
    assert answers[0].json()["verdict"] == "OK"
