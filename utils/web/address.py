"""Where the server listens, and the address that people type."""

import os
import socket

from utils.errors import InputError


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
