"""Which kind of sink an address means."""

import importlib

from utils.errors import InputError
from utils.line.sinks.sink import Address, Sink, SinkOptions

# Scheme -> module of this package, which has ``make(address, options)``; imported when it is asked for, since each needs
# a library of its own.
SCHEMES = {
    "mqtt": "mqtt",
    "mqtts": "mqtt",
    "opcua": "opcua",
    "modbus": "modbus",
    "s7": "s7",
    "http": "webhook",
    "https": "webhook",
    "parquet": "day_files",
    "csv": "day_files",
    "images": "pictures",
}


def sink_of(url: str, options: SinkOptions) -> Sink:
    """Return the sink that an address names, not yet open.

    Raises:
        InputError: the address makes no sense, or its library is not installed.
    """
    address = Address.parse(url, "-sinks")
    module = SCHEMES.get(address.scheme)
    if module is None:
        raise InputError(
            f"-sinks {url}: no sink {address.scheme}://; there are {', '.join(f'{one}://' for one in SCHEMES)}"
        )
    found: Sink = importlib.import_module(f"utils.line.sinks.{module}").make(address, options)
    return found
