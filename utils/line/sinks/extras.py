"""Libraries of requirements-line.txt, which not everybody has."""

import importlib
from types import ModuleType

from utils.errors import InputError, lacks_memory


def extra(scheme: str, name: str, package: str) -> ModuleType:
    """Import a library that one kind of sink needs.

    Args:
        scheme: of the sink, for the message.
        name: of the module, as ``paho.mqtt.client``.
        package: that has it, as the package index calls it.

    Raises:
        InputError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if lacks_memory(error):
            raise
        raise InputError(
            f"-sinks {scheme}://: the package {package} is not installed; run"
            f" .venv/bin/uv pip install -r requirements-line.txt"
        ) from None
