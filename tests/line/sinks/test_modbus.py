"""Modbus TCP, read by the library's own client."""

import contextlib
import dataclasses
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("pymodbus.server")

from pymodbus.client import ModbusTcpClient

from utils.errors import InputError
from utils.line.sinks.modbus import CONNECTIONS
from utils.line.sinks.sink import SinkError

HEALTHY, NO_VERDICT = 8, 4


@pytest.fixture
def modbus(make_sink, running):
    """An open sink that listens on a free port, and a client."""
    sink = make_sink("modbus://127.0.0.1:0")
    sink.open()
    client = ModbusTcpClient("127.0.0.1", port=sink.port, timeout=5)
    assert client.connect()
    yield sink, client
    client.close()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def flags(client):
    bits = client.read_coils(0, count=8).bits
    return sum(bit << place for place, bit in enumerate(bits))


def test_controller_reads_the_newest_event(modbus, frames, running):
    sink, client = modbus
    sink.heartbeat(running)
    sink.send(frames(4))
    words = client.read_input_registers(0, count=64).registers
    assert words == list(sink.words())
    assert words[:6] == [0b1010, 1, 0, 4, 2, 2]
    assert client.read_holding_registers(2, count=2, device_id=7).registers == [0, 4]
    assert client.read_discrete_inputs(1, count=1).bits[0]
    assert flags(client) == 0b1010


def test_nothing_can_be_written(modbus, frames, running):
    sink, client = modbus
    sink.heartbeat(running)
    sink.send(frames(4))
    before = client.read_input_registers(0, count=64).registers
    answers = [
        client.write_coil(0, True),
        client.write_coils(0, [True, False]),
        client.write_register(0, 1),
        client.write_registers(0, [0, 0]),
        client.mask_write_register(address=0, and_mask=0, or_mask=1),
        client.readwrite_registers(read_address=0, read_count=1, write_address=0, values=[1]),
    ]
    assert all(answer.isError() for answer in answers)
    assert client.read_input_registers(0, count=64).registers == before
    assert client.read_input_registers(60, count=8).isError()


@pytest.mark.parametrize("condition", ["starved", "paused", "stopping", "fault"])
def test_ok_is_taken_back_and_the_heartbeat_stops(condition, modbus, frame, running):
    sink, client = modbus
    sink.send([(1, frame(1))])
    assert flags(client) == NO_VERDICT  # nobody has said yet that the service is healthy
    sink.heartbeat(running)
    assert flags(client) == 1 | HEALTHY
    for _ in range(3):
        sink.heartbeat(dataclasses.replace(running, condition=condition))
    assert flags(client) == NO_VERDICT
    assert client.read_input_registers(1, count=1).registers == [1]
    sink.heartbeat(running)
    assert client.read_input_registers(0, count=2).registers == [1 | HEALTHY, 2]


def test_ok_is_taken_back_when_heartbeats_stay_away(make_sink, frame, running, until):
    sink = make_sink("modbus://127.0.0.1:0", heartbeat=0.02)
    sink.open()
    sink.send([(1, frame(1))])
    sink.heartbeat(running)
    assert sink.words()[0] == 1 | HEALTHY
    until(lambda: sink.words()[0] == NO_VERDICT)


def samples(sink, frames, running, count):
    """Read coils and registers so many times while verdicts change; return what was seen together."""
    stop = threading.Event()
    running_now = states(running)

    def change():
        number = 1
        while not stop.is_set():
            for seq, event in frames(50, number):
                sink.send([(seq, event)])
            sink.heartbeat(next(running_now))
            number += 50

    writer = threading.Thread(target=change, daemon=True)
    writer.start()
    seen, torn = {}, 0
    with ModbusTcpClient("127.0.0.1", port=sink.port, timeout=5) as client:
        for _ in range(count // 2):
            bits = flags(client)
            words = client.read_input_registers(0, count=64).registers
            seen[bits] = seen.get(bits, 0) + 1
            seen[words[0]] = seen.get(words[0], 0) + 1
            torn += words[2:4] != words[62:64]
    stop.set()
    writer.join(60)
    return seen, torn


def states(running):
    """Return states for ever: nine healthy ones, then one that is not."""
    while True:
        yield from [running] * 9
        yield dataclasses.replace(running, condition="starved")


def check(seen, torn, count):
    assert sum(seen.values()) == count
    assert all((bits & 0b111).bit_count() == 1 for bits in seen), seen
    assert {bits & 0b111 for bits in seen} == {1, 2, 4}  # each was there
    assert torn == 0


def test_ok_and_ng_are_never_seen_together(modbus, frames, running):
    sink, _ = modbus
    check(*samples(sink, frames, running, 600), 600)


@pytest.mark.slow
def test_ok_and_ng_are_never_seen_together_in_many_samples(modbus, frames, running):
    sink, _ = modbus
    check(*samples(sink, frames, running, 20_000), 20_000)


def test_port_that_is_taken_is_one_line(make_sink):
    with socket.create_server(("127.0.0.1", 0)) as other:
        sink = make_sink(f"modbus://127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(SinkError, match=r"cannot listen on .*in use"):
            sink.open()


def test_damaged_requests_stop_nothing_and_are_one_line(modbus, frames, running, logged):
    sink, client = modbus
    for damage in (b"\0" * 3, b"\xff" * 300, *[b"GET / HTTP/1.0\r\n\r\n"] * 5, b"\0\1\0\0\0\6\1\x63\0\0\0\1"):
        with socket.create_connection(("127.0.0.1", sink.port)) as stranger:
            stranger.sendall(damage)
            time.sleep(0.02)
    sink.heartbeat(running)
    sink.send(frames(2))
    assert client.read_input_registers(2, count=2).registers == [0, 2]
    assert sink.damaged.count >= 5
    ((logger, line),) = logged
    assert logger == "steel.line"
    assert "damaged requests" in line
    assert "0xff" not in line


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")
def test_connections_that_nobody_ends_take_no_more_than_their_share(modbus, frames, until):
    sink, client = modbus
    sink.send(frames(1))
    strangers, before = [], open_files()
    for number in range(CONNECTIONS + 20):
        strangers.append(socket.create_connection(("127.0.0.1", sink.port)))
        if number % 20 == 0:  # a controller asks now and then, and is not the one that has to go
            assert client.read_input_registers(2, count=2).registers == [0, 1]
    assert client.read_input_registers(2, count=2).registers == [0, 1]
    until(lambda: open_files() - before <= len(strangers) + CONNECTIONS)
    assert len(sink._server.active_connections) == CONNECTIONS
    strangers[0].settimeout(10)
    assert strangers[0].recv(1) == b""
    for _ in range(200):  # as quickly as they can
        strangers.append(socket.create_connection(("127.0.0.1", sink.port)))
    until(lambda: open_files() - before <= len(strangers) + CONNECTIONS)
    for stranger in strangers:
        stranger.close()


def test_client_that_reads_no_answers_is_let_go(modbus, monkeypatch):
    sink, _ = modbus
    monkeypatch.setattr("utils.line.sinks.modbus.MOST_UNREAD", -1)
    with socket.create_connection(("127.0.0.1", sink.port), timeout=10) as greedy, contextlib.suppress(ConnectionError):
        greedy.sendall(b"\0\1\0\0\0\6\1\4\0\0\0\x40")
        assert greedy.recv(1) == b""


def test_open_again_keeps_the_controllers(modbus, frames, running):
    sink, client = modbus
    sink.open()
    sink.heartbeat(running)
    sink.send(frames(1))
    assert client.read_input_registers(2, count=2).registers == [0, 1]
    sink.close()
    with pytest.raises(SinkError, match=r"has ended"):
        sink.send(frames(2))
    sink.open()
    sink.send(frames(2))
    with ModbusTcpClient("127.0.0.1", port=sink.port) as other:
        assert other.read_input_registers(2, count=2).registers == [0, 2]


@pytest.mark.parametrize("url", ["modbus://", "modbus://:502", "modbus://0.0.0.0:502/x", "modbus://a?unit=1"])
def test_address_that_makes_no_sense_is_one_line(url, make_sink):
    with pytest.raises(InputError, match=r"^-sinks modbus://"):
        make_sink(url)


def test_missing_library_says_how_to_get_it(make_sink, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymodbus.server", None)
    with pytest.raises(InputError, match=r"pymodbus.* requirements-line\.txt$"):
        make_sink("modbus://127.0.0.1:0")
