"""A Ray cluster of several machines and an S3, all of them on this one, and how to kill parts of it."""

import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

# Agents of a machine need half a minute to start where others are busy too.
START = {"RAY_agent_register_timeout_ms": "180000", "RAY_gcs_server_request_timeout_seconds": "180"}
START |= {"RAY_worker_register_timeout_seconds": "600"}
START |= {"RAY_worker_niceness": "0"}  # or all else here comes before those that predict
PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
# Ray takes this machine's address in the network for 127.0.0.1, where a cluster of 127.0.0.1 does not listen.
LAUNCH = """import runpy, sys, ray._private.services as services
services.get_node_ip_address = lambda *words, **more: "127.0.0.1"
sys.argv = sys.argv[1:]
sys.path.insert(0, ".")
runpy.run_path(sys.argv[0], run_name="__main__")"""


class Patient:
    """The module ``time`` with a clock that goes slowly: Ray waits 30 seconds for a machine, and has no flag for more."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        """Return a tenth of the seconds."""
        return time.monotonic() / 10


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """Simulate a Ray cluster on this machine, which the environment then names."""
    os.environ.update(START)
    import ray._private.node as starting
    import ray._private.services as services
    from ray.cluster_utils import Cluster

    begin, starting.time = services.start_ray_process, Patient()

    def start(command: list[str], *words: Any, **more: Any) -> Any:
        # The only port that Ray does not tell it: it waits 15 seconds, and no longer, for the agent to say so.
        if port := re.search(r"--listen-port=(\d+)", " ".join(map(str, command))):
            command = [*command, f"--dashboard_agent_listen_port={port[1]}"]
        return begin(command, *words, **more)

    services.start_ray_process = start
    made = Cluster(initialize_head=True, head_node_args={**node(), "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            made.add_node(wait=False, **node())
        os.environ["RAY_ADDRESS"] = made.address
        yield made
    finally:
        os.environ.pop("RAY_ADDRESS", None)
        made.shutdown()


def node() -> dict[str, Any]:
    """Return what a simulated machine is made of.

    Ports are named, since Ray waits 15 seconds, and no longer, for agents that choose their own.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in PORTS]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = {name: one.getsockname()[1] for name, one in zip(PORTS, sockets, strict=True)}
    return {"num_cpus": 2, "node_ip_address": "127.0.0.1", "object_store_memory": 10**8, **ports}


def kill_node(machines: Any, chance: random.Random) -> None:
    """Take a machine from the cluster as if its power failed, and add another one."""
    others = [one for one in machines.list_all_nodes() if one is not machines.head_node]
    machines.remove_node(chance.choice(others), allow_graceful=False)
    machines.add_node(wait=False, **node())


@contextmanager
def store() -> Iterator[str]:
    """Serve S3 on this machine, which the environment then names; yields the URL of an empty bucket.

    It is moto's application for S3 with connections that stay. Moto's own server guesses the service of each request
    anew and opens a connection for it, which take longer than the answer.
    """
    import logging

    import s3fs
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Kept(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, create_backend_app("s3"), threaded=True, request_handler=Kept)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ.update(AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}", AWS_DEFAULT_REGION="us-east-1")
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    try:
        for name in ("mill", "results"):  # moto goes through all keys of a bucket to list some
            s3fs.S3FileSystem().call_s3("create_bucket", Bucket=name)
        yield "s3://mill"
    finally:
        server.shutdown()


def upload(folder: Path, prefix: str) -> None:
    """Put files into the bucket of ``store``: into moto itself, since requests for them would take many minutes."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for path in folder.rglob("*.png"):
        backend.put_object("mill", f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def task_processes(names: tuple[str, ...] = ("ray::_work", "ray::IDLE")) -> list[int]:
    """List the processes of Ray's workers that this process's cluster has; its agents are called ``ray::`` too."""
    import psutil

    own = psutil.Process().children(recursive=True)
    found = []
    for process in own:
        try:
            if any(word.startswith(names) for word in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
