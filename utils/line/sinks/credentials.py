"""Passwords, keys and certificates of sinks: out of files and the environment, never out of an address.

Every user of a machine can read the addresses in its list of processes.
"""

import os
import ssl
from pathlib import Path

from utils.line.sinks.sink import Address

MOST_BYTES = 4096  # of a password: whatever is longer is another file


def secret(address: Address, setting: str, variable: str) -> str | None:
    """Return the first line of the file that a setting of the address names, else what a variable holds.

    Args:
        address: of the sink.
        setting: name of the setting, as ``password_file``.
        variable: name of the environment variable.

    Returns:
        None where neither is there.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    name = address.query.get(setting)
    if name is None:
        return os.environ.get(variable) or None
    try:
        with open(Path(name).expanduser(), "rb") as file:
            lines = file.read(MOST_BYTES + 1)
        text = lines.decode("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        raise address.error(f"{setting}={name}: {why}") from None
    if not text or len(lines) > MOST_BYTES:
        raise address.error(f"{setting}={name}: expected one line of text in it")
    return text


def file_of(address: Address, setting: str) -> str | None:
    """Return the path of a file that a setting names; None where the setting is not there.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    name = address.query.get(setting)
    if name is None:
        return None
    path = Path(name).expanduser()
    if not path.is_file() or not os.access(path, os.R_OK):
        raise address.error(f"{setting}={name}: no such file, or no permission to read it")
    return str(path)


def tls(address: Address) -> ssl.SSLContext:
    """Return how to talk in secret: the server's certificate is always checked.

    ``ca`` names certificates to trust instead of the system's, ``cert`` and ``key`` our own certificate.

    Raises:
        InputError: one of the files cannot be used.
    """
    ca, cert, key = (file_of(address, name) for name in ("ca", "cert", "key"))
    if key and not cert:
        raise address.error("key without cert; name both files")
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            # Without a callback OpenSSL would ask for the passphrase on the terminal, and the service would wait there.
            context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError, OSError) as error:
        shown = ", ".join(f"{name}={address.query[name]}" for name in ("ca", "cert", "key") if name in address.query)
        raise address.error(
            f"{shown}: {getattr(error, 'reason', None) or error}; PEM files without a passphrase"
        ) from None
    return context
