"""From the flags of ``Serve.py`` to a server that runs until it is told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import psutil
from PIL import Image

from config import ServeConfig
from utils.errors import InputError
from utils.files import make_folder
from utils.web.app import Application
from utils.web.inspector import Inspector, settings_of
from utils.web.metrics import Metrics
from utils.web.page import mount
from utils.web.page.sources import open_folder
from utils.web.security import Policy
from utils.web.server import Server

log = logging.getLogger("steel.web")


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        config: the flags.

    Raises:
        InputError: flags, weights or the port are at fault; nothing was served.
    """
    check(config)
    with ending_well(), bind(config.host, config.port) as sock:
        metrics = Metrics()
        settings = settings_of(config)
        inspector = Inspector.open(config.weights_dir, config.weights, on_batch=metrics.batches.observe, **settings)
        application = Application(inspector, config, metrics)
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        # What PIL remarks on images that strangers made is not worth a line each.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        Image.init()  # before threads open images at once
        ready = threading.Event()
        mount(application.app, inspector, config, after=ready)
        if config.save is not None:
            make_folder(config.save, "-save")
        failed: list[Exception] = []
        address = shown_address(config.host, sock.getsockname()[1])

        def started() -> None:
            threading.Thread(target=warm_up, name="warm-up", daemon=True).start()

        def warm_up() -> None:
            try:
                inspector.warm_up()
            except Exception as error:
                failed.append(error)
                server.should_exit = True
                return
            ready.set()  # making the page before would have slowed the first image down
            application.set_ready()
            about = inspector.about
            print(f"{address}  {about.file}, {about.backend}; ready in {age():.1f} s", flush=True)

        server = Server(application.guard, application.traffic, started, application.close, config.max_seconds)
        asyncio.run(server.serve(sockets=[sock]))
        inspector.close(0 if server.force_exit else config.max_seconds)
    if failed:
        raise failed[0]
    print("stopped", flush=True)


@contextlib.contextmanager
def ending_well() -> Iterator[None]:
    """Let SIGTERM end the process with exit code 0 also while it loads; from then on ``Server`` takes care of that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def age() -> float:
    """Return the seconds since this process began, the time for loading Python's modules included."""
    return time.time() - psutil.Process().create_time()


def check(config: ServeConfig) -> None:
    """Refuse flags that contradict each other, before anything is loaded."""
    Policy(config)
    if config.max_images > config.queue:
        raise InputError(
            f"-max_images {config.max_images}: such a request would never fit into -queue {config.queue}; raise -queue"
        )
    if config.dir is not None:
        open_folder(config.dir)


def bind(host: str, port: int) -> socket.socket:
    """Take a port, without listening yet.

    Raises:
        InputError: the port is taken, not allowed, or the address is none of this computer's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f"-host {host}: no such address; 127.0.0.1 is this computer, 0.0.0.0 all networks") from None
    sock = socket.socket(family, kind, protocol)
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise InputError(f"-port {port}: {error.strerror} on {host}; name another with -port") from None
    return sock


def shown_address(host: str, port: int) -> str:
    """Return the address to type into a browser."""
    host = host.strip("[]")
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"
