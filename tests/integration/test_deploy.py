"""What deploy/ holds works: nginx before the server with TLS, below a path and under another name; the other files are whole."""

import configparser
import datetime
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from config import ServeConfig, WatchConfig
from tests.web.red import Red, form, make_application, pixels, png, running
from utils.cli import parse
from utils.web.desk.mounting import mount_desk
from utils.web.limits import FORM_BYTES

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
NAME = "line3.example.com"
FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of that name, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    kept, secret = folder / "cert.pem", folder / "key.pem"
    kept.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return kept, secret


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """The server behind nginx with the snippet of deploy/; gives a function that asks for a path of the site."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None:
        pytest.skip("needs nginx")
    folder = tmp_path_factory.mktemp("nginx")
    kept, secret = certificate(folder)
    port, red = free_port(), Red()
    config = ServeConfig(root_path="/steel", origins=(f"https://{NAME}:{port}",), proxies=("127.0.0.1",))
    application = make_application(red, config)
    api = application.api
    mount_desk(application.app, application.inspector, config, api.limits, application.traffic, api.count)
    with running(application, red) as server:
        text = (DEPLOY / "nginx.conf").read_text("utf-8")
        for ours, theirs in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("/etc/ssl/line3.example.com.pem", str(kept)),
            ("/etc/ssl/line3.example.com.key", str(secret)),
            ("http://127.0.0.1:7860", server.address),
        ):
            assert text.count(ours) == 1, ours
            text = text.replace(ours, theirs)
        places = "".join(
            f"{what}_temp_path {folder}/{what};\n" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = folder / "nginx.conf"
        main.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
            f"http {{ access_log off; {places} {text} }}\n"
        )
        checked = subprocess.run([nginx, "-t", "-c", main, "-p", folder], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen([nginx, "-c", main, "-p", folder], stderr=subprocess.DEVNULL)
        try:
            context = ssl.create_default_context(cafile=str(kept))

            def ask(path, data=None, headers=None, method=None, read=True):
                connection = Pinned(NAME, port, context)
                words = {"Host": f"{NAME}:{port}", **(headers or {})}
                connection.request(method or ("POST" if data is not None else "GET"), path, data, words)
                answer = connection.getresponse()
                return answer.status, answer.headers, answer.read() if read else answer

            until = time.monotonic() + 20
            while True:
                try:
                    ask("/steel/healthz")
                    break
                except OSError:
                    assert time.monotonic() < until, (folder / "error.log").read_text()
                    time.sleep(0.05)
            yield ask, port
        finally:
            process.terminate()
            process.wait(20)


class Pinned(http.client.HTTPSConnection):
    """Finds the name at this computer, as the plant's name server would."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(name, port, context=context, timeout=30)
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


def test_api_answers_below_its_path(proxied):
    ask, _ = proxied
    status, _, body = ask("/steel/api/v1/inspect?coil_id=A7", form([("a.png", png(pixels(250)))]), FORM)
    assert (status, json.loads(body)["images"][0]["verdict"]) == (200, "defective")
    assert json.loads(ask("/steel/api/v1/openapi.json")[2])["servers"] == [{"url": "/steel"}]
    assert ask("/steel")[0] == 301
    assert ask("/other")[0] in (403, 404)  # of nginx itself


def test_requests_that_are_too_large_get_the_words_of_the_server(proxied):
    ask, _ = proxied
    most = ServeConfig().max_mb * 10**6 + FORM_BYTES
    assert f"client_max_body_size {most};" in (DEPLOY / "nginx.conf").read_text("utf-8")
    status, _, body = ask("/steel/api/v1/inspect", bytes(most + 1), FORM)
    assert (status, json.loads(body)["error"]["code"]) == (413, "too_many_bytes")


def test_the_desk_takes_images_and_tells_news_at_once(proxied):
    ask, port = proxied
    own = {"Origin": f"https://{NAME}:{port}", "Content-Type": "application/json"}
    status, _, body = ask("/steel/desk/v1/visits", b"{}", own)
    assert status == 201
    visit = json.loads(body)["id"]
    status, headers, answer = ask(f"/steel/desk/v1/visits/{visit}/events", read=False)
    assert headers["content-type"].startswith("text/event-stream")
    added = ask(f"/steel/desk/v1/visits/{visit}/images", form([("a.png", png(pixels(250)))], "image"), FORM)
    assert added[0] == 202, added
    told = b""
    until = time.monotonic() + 20
    while b'"verdict": "defective"' not in told and time.monotonic() < until:
        line = answer.readline()  # nothing is held back until the answer ends
        assert line, f"the stream has ended after {told!r}"
        told += line
    assert b'"verdict": "defective"' in told
    answer.close()
    foreign = {**own, "Origin": "https://evil.example"}
    assert ask("/steel/desk/v1/visits", b"{}", foreign)[0] == 403
    assert ask("/steel/desk/v1/visits", headers={"Host": "evil.example"})[0] == 421


def line_begins(step: list[str]) -> bool:
    """The second line of a health check is part of it, though it begins with CMD."""
    return step[0] != "CMD" or step[1].startswith('["-')


def test_dockerfile_is_whole():
    lines = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text("utf-8")).splitlines()
    steps = [line.split(None, 1) for line in lines if line.strip() and not line.startswith("#")]
    known = ["FROM", "RUN", "USER", "WORKDIR", "COPY", "EXPOSE", "VOLUME", "HEALTHCHECK", "ENTRYPOINT", "CMD", "ARG"]
    words = [step[0] for step in steps if line_begins(step)]
    assert set(words) <= set(known)
    assert words[0] == "FROM"
    assert words.count("ENTRYPOINT") == 1
    assert re.fullmatch(r"python:3\.1[123]-slim-\w+", steps[0][1])  # never what is latest today
    users = [step[1] for step in steps if step[0] == "USER"]
    assert users[-1:] not in ([], ["root"])
    entry = json.loads(next(step[1] for step in steps if step[0] == "ENTRYPOINT"))
    command = json.loads([step[1] for step in steps if step[0] == "CMD"][-1])
    flags = parse(ServeConfig, [*entry[2:], *command], "Serve.py", "")
    assert (entry[1], flags.host, flags.port) == ("Serve.py", "0.0.0.0", 7860)
    assert "make install" in " ".join(step[1] for step in steps if step[0] == "RUN")


def test_compose_file_names_what_is_there():
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["inspector"]
    context = (DEPLOY / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).is_file()
    assert "STEEL_SERVE_TOKEN" in service["environment"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_unit_starts_the_server_with_flags_that_it_has():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "steel.service", encoding="utf-8")
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    words = unit["Service"]["ExecStart"].split()
    flags = parse(ServeConfig, words[2:], "Serve.py", "")
    assert (words[1], flags.host) == ("Serve.py", "127.0.0.1")
    assert int(unit["Service"]["TimeoutStopSec"]) > flags.max_seconds
    folder = f"/var/lib/{unit['Service']['StateDirectory']}"
    assert str(flags.save) == folder


def test_compose_file_of_a_line_starts_it_with_flags_and_libraries_that_it_has():
    services = yaml.safe_load((DEPLOY / "line.yaml").read_text("utf-8"))["services"]
    line = services["line"]
    assert line["build"]["args"] == {"EXTRA": "requirements-line.txt"}  # without it mqtt:// cannot be opened
    assert (ROOT / line["build"]["args"]["EXTRA"]).is_file()
    assert "ARG EXTRA" in (DEPLOY / "Dockerfile").read_text("utf-8")
    flags = parse(WatchConfig, line["command"], "Watch_line.py", "")
    kept = next(volume.split(":")[1] for volume in line["volumes"] if volume.startswith("kept:"))
    assert str(flags.spool).startswith(kept)
    assert flags.sinks is not None
    assert len(flags.sinks) == 3
    assert int(line["stop_grace_period"].removesuffix("s")) > flags.drain_s
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one.get("ports", ()))
    assert all(
        ":" in one["image"] and not one["image"].endswith("latest") for one in services.values() if "image" in one
    )


def test_compose_file_of_a_line_has_the_files_that_it_mounts():
    whole = yaml.safe_load((DEPLOY / "line.yaml").read_text("utf-8"))
    services = whole["services"]
    mounted = [one for service in services.values() for one in service.get("volumes", ())]
    for one in mounted:
        place = one.split(":")[0]
        assert (
            (DEPLOY / place).is_file() if place.startswith("./") else place.startswith("/") or place in whole["volumes"]
        )
    assert whole["secrets"]["token"]["environment"] in services["line"]["environment"]
    scraped = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text("utf-8"))["scrape_configs"][0]
    assert scraped["authorization"]["credentials_file"] == f"/run/secrets/{services['prometheus']['secrets'][0]}"
    port = next(word for word in services["line"]["command"] if word.startswith("-http=")).rpartition(":")[2]
    assert scraped["static_configs"][0]["targets"] == [f"line:{port}"]


def test_broker_of_a_line_takes_its_settings(tmp_path):
    broker = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if broker is None:
        pytest.skip("needs mosquitto")
    port, settings = free_port(), tmp_path / "mosquitto.conf"
    text = (DEPLOY / "mosquitto.conf").read_text("utf-8")
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1").replace("/mosquitto/data/", f"{tmp_path}/")
    settings.write_text(text)
    with subprocess.Popen([broker, "-c", settings], stderr=subprocess.PIPE) as server:
        try:
            until = time.monotonic() + 10
            while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < until:
                assert server.poll() is None, server.stderr and server.stderr.read()
                time.sleep(0.05)
            assert not socket.socket().connect_ex(("127.0.0.1", port))
        finally:
            server.kill()  # a signal that comes before its loop is forgotten


def test_unit_of_a_line_starts_it_with_flags_that_it_has():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "steel-line.service", encoding="utf-8")
    words = unit["Service"]["ExecStart"].split()
    assert words[1] == "Watch_line.py"
    assert {word for word in words if word.startswith("-")} <= {"-config", "-spool"}
    assert (
        int(unit["Service"]["TimeoutStopSec"]) > parse(WatchConfig, ["-source", "push://"], "Watch_line.py", "").drain_s
    )
    assert f"/var/lib/{unit['Service']['StateDirectory']}/spool" in words
