"""Libraries of requirements-line.txt, which not everybody has."""

from types import ModuleType

from utils.device import optional
from utils.line.address import Address

# What the package index calls a module, where that is another name.
CALLED = {"paho.mqtt.client": "paho-mqtt", "snap7": "python-snap7", "viva_genicam": "viva-genicam"}


def extra(address: Address, name: str) -> ModuleType:
    """Import a library that one kind of source or sink needs.

    Args:
        address: of the source or sink, for the message.
        name: of the module, as ``paho.mqtt.client``.

    Raises:
        InputError: it is not installed; the message says how to get it in the version that is known to work.
    """
    return optional(
        f"{address.flag} {address.scheme}://", name, requirements="requirements-line.txt", called=CALLED.get(name, "")
    )
