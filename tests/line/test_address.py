"""Addresses of sources and sinks."""

from pathlib import Path

import pytest

from utils.errors import InputError
from utils.line.address import Address


def test_address_is_taken_apart():
    found = Address.parse("MQTT://me@broker:1883/plant/line?qos=1&tls=", "-sinks")
    assert (found.scheme, found.host, found.port, found.user, found.url_path) == (
        "mqtt",
        "broker",
        1883,
        "me",
        "/plant/line",
    )
    assert found.query == {"qos": "1", "tls": ""}
    assert found.text == "mqtt://me@broker:1883/plant/line"


@pytest.mark.parametrize(
    ("text", "folder"), [("csv://out", "out"), ("csv:///a/b%20c", "/a/b c"), ("folder://a/b?poll=1", "a/b")]
)
def test_folder_may_be_relative_or_absolute(text, folder):
    assert Address.parse(text, "-sinks").folder == Path(folder)


@pytest.mark.parametrize("text", ["", "inbox", "://x", "mqtt://u:secret@host", "mqtt://host:99999", "csv://a?b"])
def test_what_is_none_is_refused_without_telling_a_password(text):
    with pytest.raises(InputError) as error:
        Address.parse(text, "-sinks")
    assert "secret" not in str(error.value)


def test_settings_are_known_and_within_their_bounds():
    found = Address.parse("replay://f?rate=47&loop=1", "-source")
    assert found.number("rate", 1, 0, 100) == 47
    assert found.number("other", 3, 0, 100) == 3
    with pytest.raises(InputError, match="no setting loop"):
        found.only("rate")
    for low, high in ((50, 60), (0, 40)):
        with pytest.raises(InputError, match="rate=47"):
            found.number("rate", 1, low, high)
