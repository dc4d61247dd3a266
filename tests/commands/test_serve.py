"""How the server starts and stops: flags that are refused, a shutdown that finishes what was accepted, exit codes."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from config import ServeConfig
from tests.web.red import Red, form, make_application, pixels, png, post, read_answer, running
from utils.commands.serve import bind, check, serve
from utils.errors import InputError
from utils.files import make_folder
from utils.web.security import Policy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/inspector.md").read_text("utf-8")
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
    wait_until(lambda: server.application.house.accepted == 1)
    half = open_and_send(server.port, REQUEST[:-40])
    wait_until(lambda: server.application.house.reading)
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


def test_shutdown_does_not_wait_for_ever(red):
    with running(make_application(red, ServeConfig()), red, patience=0.3) as server:
        red.go.clear()
        stuck = open_and_send(server.port, REQUEST)
        wait_until(lambda: server.application.house.accepted == 1)
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


def test_client_of_the_documents_works_in_twenty_lines(server, tmp_path, monkeypatch, capsys):
    code = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "Retry-After" in code)
    assert len(code.splitlines()) == 20
    (tmp_path / "a.png").write_bytes(png(pixels(250)))
    (tmp_path / "b.pdf").write_bytes(b"%PDF")
    monkeypatch.setattr(sys, "argv", ["client.py", str(tmp_path / "a.png"), str(tmp_path / "b.pdf")])
    exec(code.replace("http://127.0.0.1:7860", server.address), {})
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [f"{tmp_path / 'a.png'} inspected", "bright 64 {'x': 0, 'y': 0, 'width': 8, 'height': 8} 1.0"]
    assert "The file is a PDF; send JPEG, PNG, BMP or TIFF." in said[2]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", re.findall(r"^curl (.*?)(?:  +#.*)?$", PAGE, re.MULTILINE))
def test_curl_lines_of_the_documents_work(server, tmp_path, line):
    for name in ("strip.jpg", "1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(png(pixels(250)))
    words = shlex.split(line.replace("http://127.0.0.1:7860", server.address))
    answer = subprocess.run(["curl", "-sf", *words], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0
    assert answer.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"host": "0.0.0.0"}, "-host 0.0.0.0: other computers could send images; give -token WORD, or -insecure"),
        ({"host": "192.168.1.5"}, "-token WORD"),
        ({"host": "::"}, "-token WORD"),
        ({"token": "short"}, "-token: expected 16 or more letters"),
        ({"token": "with spaces in the middle"}, "without spaces"),
        ({"origins": ("evil",)}, "-origins evil: expected https://NAME"),
        ({"origins": ("https://a.b/path",)}, "-origins https://a.b/path"),
        ({"max_images": 65}, "-max_images 65: such a request would never fit into -queue 64"),
        ({"dir": Path("nowhere")}, "-dir nowhere: no such folder"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError) as error:
        check(ServeConfig(**flags))
    assert message in str(error.value)
    assert "short" not in str(error.value)


def test_a_folder_to_save_to_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"-save .*cannot make this folder"):
        make_folder(tmp_path / "file", "-save")
    make_folder(tmp_path / "new/folder", "-save")
    assert (tmp_path / "new/folder").is_dir()


def test_other_computers_are_let_in_with_a_token_or_by_an_open_word(monkeypatch):
    check(ServeConfig(host="0.0.0.0", insecure=True))
    check(ServeConfig(host="0.0.0.0", token="a-token-of-some-length"))
    monkeypatch.setenv("STEEL_SERVE_TOKEN", "another-token-of-some-length")
    check(ServeConfig(host="0.0.0.0"))
    assert Policy(ServeConfig()).is_token("another-token-of-some-length")
    assert not Policy(ServeConfig()).is_token("a-token-of-some-length")


def test_a_port_that_is_taken_and_an_address_that_is_none():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"-port {port}: Address already in use on 127.0.0.1; name another"):
            bind("127.0.0.1", port)
    with pytest.raises(InputError, match=r"-host no\.such\.host\.invalid: no such address"):
        bind("no.such.host.invalid", 0)


def test_a_network_that_does_not_run_here_ends_the_start(make_weights, tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("this processor cannot do that")

    monkeypatch.setattr("utils.inference.pipeline.InspectionPipeline.judge", broken)
    settings = {"backend": "torch", "precision": "f32", "device": "cpu"}
    with pytest.raises(InputError, match="the first image could not be inspected: The server made an error, "):
        serve(ServeConfig(weights_dir=make_weights(), port=0, save=tmp_path / "kept", **settings))
    assert "this processor cannot do that" in caplog.text


def test_sigterm_while_it_loads_ends_with_0_too(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("utils.commands.serve.Inspector.open", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as stop:
        serve(ServeConfig(port=0))
    assert stop.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_the_command_serves_until_a_signal_and_ends_with_0(make_weights, tmp_path, number):
    words = ["-weights_dir", make_weights(input_size=(32, 64)), "-port", "0", "-backend", "torch", "-precision", "f32"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "Serve.py", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+)  unet-resnet18-test-\w{8}\.pth, torch f32 on cpu; ready in", line)
        assert found, line
        with urllib.request.urlopen(f"{found[1]}/readyz") as answer:
            assert json.load(answer) == {"status": "ready"}
        process.send_signal(number)
        rest = process.stdout.read()
        assert (process.wait(30), rest) == (0, "stopped\n")
