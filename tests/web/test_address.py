"""A port that cannot be taken is refused with the remedy."""

import socket

import pytest

from utils.errors import InputError
from utils.web.address import bind


def test_a_port_that_is_taken_and_an_address_that_is_none():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"-port {port}: Address already in use on 127.0.0.1; name another"):
            bind("127.0.0.1", port)
    with pytest.raises(InputError, match=r"-host no\.such\.host\.invalid: no such address"):
        bind("no.such.host.invalid", 0)
