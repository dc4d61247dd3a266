"""The one OpenVINO core of a process, and signals that still arrive after a library has made cores of its own.

Where a processor has AMX, a core that compiles for the CPU replaces the stack on which its thread receives signals, and puts
the former one back when it is freed. Two cores that are freed in the order in which they were made leave the thread with a
stack that is gone: the next signal that Python handles, of a child process that ends, of Ctrl-C, of a service manager, then
ends the process by a segmentation fault without a word.
"""

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from typing import Any

_making = threading.Lock()


def openvino_core() -> Any:
    """Return the ``openvino.Core`` of this process, which any thread may use; it is never freed.

    Raises:
        ImportError: OpenVINO is not installed; call ``utils.device.optional`` before.
    """
    with _making:  # two threads that come at once would make two, of which the cache keeps one
        return _core()


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux, see sigaltstack(2)."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Give the thread at the end the signal stack that it has now, whatever cores a library makes and frees meanwhile."""
    if sys.platform != "linux":  # OpenVINO replaces it nowhere else
        yield
        return
    library, before = ctypes.CDLL(None), _Stack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(before), None)
