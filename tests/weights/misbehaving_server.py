"""A web server that keeps files and misbehaves when told to, and an index of what it has."""

import contextlib
import datetime
import gzip
import hashlib
import http.server
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from utils.weights.index import Entry, Index

CONTENT = np.random.default_rng(7).bytes(300_000)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``; the next of ``server.faults`` answers instead, when there is one."""

    protocol_version = "HTTP/1.1"
    server: "Site"

    def do_GET(self) -> None:
        """Answer."""
        self.server.asked.append((self.path, self.headers.get("Range")))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            (self.server.faults.pop(0) if self.server.faults else good)(self)

    def content(self) -> bytes:
        return self.server.files[self.path]

    def start(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match[1]) if match else 0

    def head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Site(http.server.ThreadingHTTPServer):
    """Files by path, faults to commit in turn, and what was asked for: (path, Range header)."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[Callable[[Handler], None]] = []
        self.asked: list[tuple[str, str | None]] = []
        self.scheme = "https" if context else "http"
        if context:
            # The handshake belongs to the thread of its request, or a client that refuses would block the others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """Keep quiet about clients that refuse the certificate."""

    @property
    def address(self) -> str:
        return f"{self.scheme}://localhost:{self.server_port}"


def good(handler: Handler) -> None:
    """Serve the file, from the middle when asked to."""
    if handler.path not in handler.server.files:
        return handler.head(404, Content_Length=0)
    content, start = handler.content(), handler.start()
    if start:
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206, Content_Length=len(content) - start, Content_Range=span)
    else:
        handler.head(200, Content_Length=len(content))
    handler.wfile.write(content[start:])


def no_ranges(handler: Handler) -> None:
    """Send the whole file whatever was asked."""
    handler.head(200, Content_Length=len(handler.content()))
    handler.wfile.write(handler.content())


def range_refused(handler: Handler) -> None:
    """Refuse to start in the middle."""
    handler.head(416, Content_Length=0)


def wrong_range(handler: Handler) -> None:
    """Send another part than was asked for."""
    content = handler.content()
    handler.head(206, Content_Length=len(content) - 10, Content_Range=f"bytes 10-{len(content) - 1}/{len(content)}")
    handler.wfile.write(content[10:])


def cut_after(count: int) -> Callable[[Handler], None]:
    """Break the line in the middle."""

    def fault(handler: Handler) -> None:
        content, start = handler.content(), handler.start()
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if start:
            handler.head(206, Content_Length=len(content) - start, Content_Range=span)
        else:
            handler.head(200, Content_Length=len(content))
        handler.wfile.write(content[start : start + count])
        handler.wfile.flush()
        handler.close_connection = True

    return fault


def without_length(content: bytes) -> Callable[[Handler], None]:
    """Send some bytes and close, without having said how many."""

    def fault(handler: Handler) -> None:
        handler.head(200, Connection="close")
        handler.wfile.write(content)
        handler.close_connection = True

    return fault


def slow(handler: Handler) -> None:
    """Send the file in pieces with pauses."""
    content = handler.content()
    handler.head(200, Content_Length=len(content))
    for start in range(0, len(content), 100_000):
        handler.wfile.write(content[start : start + 100_000])
        handler.wfile.flush()
        time.sleep(0.05)


def silent(handler: Handler) -> None:
    """Begin to answer and say no more."""
    handler.head(200, Content_Length=len(handler.content()))
    handler.wfile.write(handler.content()[:1000])
    handler.wfile.flush()
    time.sleep(1)
    handler.close_connection = True


def endless(handler: Handler) -> None:
    """Send pieces until the other side has had enough, without having said how many."""
    handler.head(200, Connection="close")
    while True:
        handler.wfile.write(bytes(1 << 20))


def bomb(handler: Handler) -> None:
    """Send 100 kB that unpack to 100 MB."""
    content = gzip.compress(bytes(100 << 20))
    handler.head(200, Content_Length=len(content), Content_Encoding="gzip")
    handler.wfile.write(content)


def trickle(handler: Handler) -> None:
    """Send a byte now and then."""
    handler.head(200, Content_Length=len(handler.content()))
    for number in range(300):
        handler.wfile.write(handler.content()[number : number + 1])
        handler.wfile.flush()
        time.sleep(0.01)


def slow_head(handler: Handler) -> None:
    """Send the head of the answer letter by letter."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(300):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.01)


def status(code: int, **headers: object) -> Callable[[Handler], None]:
    """Answer with a code and nothing else."""
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def redirect(handler: Handler) -> None:
    """Send on to the same address."""
    handler.head(302, Content_Length=0, Location=handler.path)


@contextlib.contextmanager
def running(server: Site) -> Iterator[Site]:
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def certificate(folder: Path, days: int, name: str = "localhost") -> Path:
    """Write a key and a certificate that signs itself, good until so many days from now; negative: expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=100))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def entry(name: str = "unet-resnet18-a", content: bytes = CONTENT, urls: tuple[str, ...] = (), **more) -> Entry:
    """Make an entry of the index for some bytes."""
    digest = hashlib.sha256(content).hexdigest()
    file = f"{name}-{digest[:8]}.pth"
    return Entry(name, file, digest, len(content), urls or (file,), "unet", "resnet18", "multilabel", ("pit",), **more)


def write_index(folder: Path, *entries: Entry, default: str | None = None) -> str:
    """Write an index of these entries, and name it."""
    folder.mkdir(parents=True, exist_ok=True)
    Index(entries, default or (entries[0].name if entries else None)).save(folder / "index.json")
    return str(folder / "index.json")
