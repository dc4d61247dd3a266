"""From the flags of ``Serve.py`` to a server that runs until it is told to stop."""

import asyncio
import logging
import sys
import threading
import time
import warnings

import psutil
from PIL import Image

from config import ServeConfig
from utils.desk.database import check_free
from utils.desk.naming import check_names
from utils.desk.sources import open_folder
from utils.errors import InputError
from utils.files import make_folder
from utils.inspection.inspector import Inspector
from utils.web.address import bind, shown_address
from utils.web.app import Application
from utils.web.coil import check_coil, coil_routes
from utils.web.desk.mounting import mount_desk
from utils.web.metrics import Metrics
from utils.web.security import Policy
from utils.web.server import Server, ending_on_sigterm
from utils.web.static_page import page_routes

log = logging.getLogger("steel.web")


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        config: the flags.

    Raises:
        InputError: flags, weights or the port are at fault; nothing was served.
    """
    check(config)
    with ending_on_sigterm(), bind(config.host, config.port) as sock:
        metrics = Metrics()
        inspector = Inspector.open(config, on_batch=metrics.batches.observe)
        application = Application(inspector, config, metrics)
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        # What PIL remarks on images that strangers made is not worth a line each.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        Image.init()  # before threads open images at once
        if config.save is not None:
            make_folder(config.save, "-save")
        api = application.api
        mount_desk(
            application.app, inspector, config, api.limits, application.traffic, api.count, application.inspectors
        )
        application.app.include_router(page_routes())
        if config.coil is not None:
            application.app.include_router(coil_routes(config.coil))
        failed: list[Exception] = []
        address = shown_address(config.host, sock.getsockname()[1])

        def started() -> None:
            threading.Thread(target=warm_up, name="warm-up", daemon=True).start()

        def warm_up() -> None:
            try:
                inspector.warm_up()
                application.set_ready()
                about = inspector.about
                print(f"{address}  {about.file}, {about.backend}; ready in {age():.1f} s", flush=True)
            except Exception as error:  # the reader of standard output may have gone, too
                failed.append(error)
                server.should_exit = True

        server = Server(application.guard, application.traffic, started, application.close, config.max_seconds)
        asyncio.run(server.serve(sockets=[sock]))
        inspector.close(0 if server.force_exit else config.max_seconds)
    if failed:
        raise failed[0]
    print("stopped", flush=True)


def age() -> float:
    """Return the seconds since this process began, the time for loading Python's modules included."""
    return time.time() - psutil.Process().create_time()


def check(config: ServeConfig) -> None:
    """Refuse flags that contradict each other, before anything is loaded."""
    Policy(config)
    check_names(config.class_names or (), "-class_names")
    if config.save is not None:
        check_free(config.save)
    if config.max_images > config.queue:
        raise InputError(
            f"-max_images {config.max_images}: such a request would never fit into -queue {config.queue}; raise -queue"
        )
    if config.dir is not None:
        open_folder(config.dir)
    if config.coil is not None:
        check_coil(config.coil)
