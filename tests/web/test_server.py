"""A shutdown that finishes what was accepted, and many clients at once."""

import contextlib
import json
import socket
import threading
import time

import pytest

from config import ServeConfig
from tests.web.red import Red, form, make_application, pixels, png, post, read_answer, running

REQUEST = post(form([("a.png", png(pixels(250)))]))


@pytest.fixture
def red():
    return Red()


@pytest.fixture
def server(red):
    with running(make_application(red, ServeConfig()), red) as made:
        yield made


def open_and_send(port: int, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(data)
    return connection


def wait_until(true) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_shutdown_finishes_what_was_accepted_and_refuses_the_rest(server, red):
    red.go.clear()
    accepted = open_and_send(server.port, REQUEST)
    wait_until(lambda: server.application.traffic.accepted == 1)
    half = open_and_send(server.port, REQUEST[:-40])
    wait_until(lambda: server.application.traffic.reading)
    idle = open_and_send(server.port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert read_answer(idle)[0] == 200
    server.stop()
    status, headers, body = read_answer(half)
    assert (status, json.loads(body)["error"]["code"], headers["connection"]) == (503, "closing", "close")
    assert server.thread.is_alive()
    red.go.set()
    status, headers, body = read_answer(accepted)
    assert (status, json.loads(body)["images"][0]["verdict"]) == (200, "defective")
    assert headers["connection"] == "close"
    server.thread.join(10)
    assert not server.thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    assert idle.recv(10) == b""
    for connection in (accepted, half, idle):
        connection.close()


def test_connections_that_nobody_uses_leave_files_for_others(server, monkeypatch):
    monkeypatch.setattr("utils.web.server.MOST_CONNECTIONS", 2)
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2)]
    third = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    with third, contextlib.suppress(ConnectionError):
        assert third.recv(1) == b""
    monkeypatch.undo()
    again = open_and_send(server.port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert read_answer(again)[0] == 200
    for connection in (*idle, again):
        connection.close()


def test_shutdown_does_not_wait_for_ever(red):
    with running(make_application(red, ServeConfig()), red, patience=0.3) as server:
        red.go.clear()
        stuck = open_and_send(server.port, REQUEST)
        wait_until(lambda: server.application.traffic.accepted == 1)
        server.stop()
        server.thread.join(5)
        assert not server.thread.is_alive()
        assert read_answer(stuck)[0] in (0, 503)
        stuck.close()


def test_load_of_many_clients_keeps_every_answer_with_its_question(red):
    """16 clients, images of three sizes, each with a defect at a place of its own."""
    with running(make_application(red, ServeConfig(queue=64)), red) as server:
        wrong = []

        def client(number: int) -> None:
            for turn in range(12):
                image = pixels(100, (20 + turn % 3, 30))
                image[number, turn] = 250
                _, _, body = server.send(post(form([(f"{number}-{turn}.png", png(image))]), "Connection: close"))
                one = json.loads(body)["images"][0]
                box = {"x": turn, "y": number, "width": 1, "height": 1}
                if one["name"] != f"{number}-{turn}.png" or [d["box"] for d in one["defects"]] != [box]:
                    wrong.append(one)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert max(batch[0] for batch in red.batches) > 1, "nothing was gathered into batches"
