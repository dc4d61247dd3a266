"""How the command starts and stops: flags that are refused, the README's client, exit codes."""

import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from config import ServeConfig
from tests.integration.in_process import command
from tests.web.red import Red, make_application, pixels, png, running
from utils.commands.serve import check, serve
from utils.errors import InputError
from utils.files import make_folder
from utils.web.security import Policy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/inspector.md").read_text("utf-8")


@pytest.fixture
def red():
    return Red()


@pytest.fixture
def server(red):
    with running(make_application(red, ServeConfig()), red) as made:
        yield made


def test_client_of_the_documents_works_in_twenty_lines(server, tmp_path, monkeypatch, capsys):
    code = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "Retry-After" in code)
    assert len(code.splitlines()) == 20
    (tmp_path / "a.png").write_bytes(png(pixels(250)))
    (tmp_path / "b.pdf").write_bytes(b"%PDF")
    monkeypatch.setattr(sys, "argv", ["client.py", str(tmp_path / "a.png"), str(tmp_path / "b.pdf")])
    exec(code.replace("http://127.0.0.1:7860", server.address), {})
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [f"{tmp_path / 'a.png'} inspected", "bright 64 {'x': 0, 'y': 0, 'width': 8, 'height': 8} 1.0"]
    assert "The file is a PDF; send JPEG, PNG, BMP, TIFF or WebP." in said[2]


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


def test_a_network_that_does_not_run_here_ends_the_start(make_weights, tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("this processor cannot do that")

    monkeypatch.setattr("utils.inference.pipeline.InspectionPipeline.judge", broken)
    settings = {"backend": "torch", "precision": "f32", "device": "cpu"}
    with pytest.raises(InputError, match="the first image could not be inspected: The server made an error, "):
        serve(ServeConfig(weights_dir=make_weights(), port=0, save=tmp_path / "kept", **settings))
    assert "this processor cannot do that" in caplog.text


def test_a_reader_of_its_output_that_has_gone_ends_it_without_a_traceback(make_weights, monkeypatch):
    def gone(*_, **__):
        raise BrokenPipeError

    crashed: list[object] = []
    monkeypatch.setattr("threading.excepthook", crashed.append)
    monkeypatch.setattr("utils.commands.serve.print", gone, raising=False)
    settings = {"backend": "torch", "precision": "f32", "device": "cpu"}
    with pytest.raises(BrokenPipeError):  # which utils.cli ends quietly
        serve(ServeConfig(weights_dir=make_weights(input_size=(32, 64)), port=0, **settings))
    assert not crashed


@pytest.mark.slow  # a process that imports everything
def test_the_program_ends_quietly_where_nobody_reads_its_output(make_weights, tmp_path):
    words = ["-weights_dir", make_weights(input_size=(32, 64)), *WORDS]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "Serve.py", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (2, b"")


def test_sigterm_while_it_loads_ends_with_0_too(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("utils.commands.serve.Inspector.open", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as stop:
        serve(ServeConfig(port=0))
    assert stop.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before


WORDS = ["-port", "0", "-backend", "torch", "-precision", "f32", "-device", "cpu"]
READY = r"(http://127\.0\.0\.1:\d+)  unet-test_resnet-test-\w{8}\.pth, torch f32 on cpu; ready in"


def ask(line: str) -> dict:
    """Ask the server that printed this line whether it is ready."""
    found = re.match(READY, line)
    assert found, line
    with urllib.request.urlopen(f"{found[1]}/readyz") as answer:
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal_and_ends_with_0(make_weights, tmp_path, monkeypatch, number):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    printed: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr("utils.commands.serve.print", lambda line, **_: printed.put(line), raising=False)
    answers = []

    def client() -> None:
        line = printed.get(timeout=60)
        try:
            answers.append(ask(line))
        finally:
            os.kill(os.getpid(), number)

    asking = threading.Thread(target=client, daemon=True)
    asking.start()
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    assert command(["Serve.py", "-weights_dir", str(make_weights(input_size=(32, 64))), *WORDS], monkeypatch) == 0
    assert answers == [{"status": "ready"}]
    assert printed.get_nowait() == "stopped"
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.slow  # a process that imports everything
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_until_a_signal_and_ends_with_0(make_weights, tmp_path, number):
    words = ["-weights_dir", make_weights(input_size=(32, 64)), *WORDS]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "Serve.py", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert ask(process.stdout.readline()) == {"status": "ready"}
        process.send_signal(number)
        rest = process.stdout.read()
        assert (process.wait(30), rest) == (0, "stopped\n")
