"""S7, written into the server of the library."""

import contextlib
import ctypes
import dataclasses
import socket
import struct
import sys
import threading
import time

import pytest

pytest.importorskip("snap7")

import snap7

from utils.errors import InputError
from utils.line.sinks.sink import SinkError


class Controller:
    """A controller with DB100, of which the last four bytes say what its program has read."""

    def __init__(self, port):
        self.port = port
        self.memory = (ctypes.c_char * 140)()
        self.server = snap7.Server(log=False)
        self.server.register_area(snap7.SrvArea.DB, 100, self.memory)
        self.server.start(tcp_port=port)

    def words(self):
        client = snap7.Client()
        client.connect("127.0.0.1", 0, 1, self.port)
        read = client.db_read(100, 0, 128)
        client.disconnect()
        return struct.unpack(">64H", read)

    def acknowledge(self, seq):
        client = snap7.Client()
        client.connect("127.0.0.1", 0, 1, self.port)
        client.db_write(100, 128, bytearray(struct.pack(">I", seq)))
        client.disconnect()

    def stop(self):
        self.server.stop()


@pytest.fixture
def controller(free_port):
    started = Controller(free_port())
    yield started
    started.stop()


def test_events_and_state_are_written_into_the_block(controller, make_sink, frames, running):
    sink = make_sink(f"s7://127.0.0.1:{controller.port}/DB100")
    sink.open()
    sink.heartbeat(running)
    sink.send(frames(4))
    words = controller.words()
    assert words[:6] == (0b1010, 1, 0, 4, 2, 2)
    assert words[62:] == (0, 4)
    sink.send(frames(5))
    assert controller.words()[:4] == (0b1100, 1, 0, 5)  # NO_VERDICT
    sink.heartbeat(dataclasses.replace(running, condition="starved"))
    assert controller.words()[:2] == (0b0100, 1)
    sink.heartbeat(running)
    assert controller.words()[:2] == (0b1100, 2)
    sink.close()
    assert controller.words()[0] == 0b0100


def test_each_event_waits_until_the_program_has_read_it(controller, make_sink, frames, running):
    sink = make_sink(f"s7://127.0.0.1:{controller.port}/db100?ack=1", timeout=0.4)
    sink.open()
    sink.heartbeat(running)
    with pytest.raises(SinkError, match=r"DB100: the program of the controller has not taken event 1"):
        sink.send(frames(3))
    read = []
    stop = threading.Event()

    def program():
        while not stop.is_set():
            words = controller.words()
            if not read or words[3] != read[-1]:
                read.append(words[3])
                controller.acknowledge(words[3])
            time.sleep(0.001)

    thread = threading.Thread(target=program)
    thread.start()
    sink._options = dataclasses.replace(sink._options, timeout=10)
    sink.open()
    sink.send(frames(8))
    stop.set()
    thread.join()
    assert read == [1, 2, 3, 4, 5, 6, 7, 8]


def test_dead_controller_is_one_line(make_sink, free_port):
    sink = make_sink(f"s7://127.0.0.1:{free_port()}/DB1")
    with pytest.raises(SinkError, match=r"^controller 127\.0\.0\.1, DB1: .*refused"):
        sink.open()


CONFIRMED = b"\x03\0\0\x0b\x06\xd0\0\1\0\1\0"  # that the connection is there


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"HTTP/1.0 400 Bad Request\r\n\r\n",
        b"\x03\0\0\x03",
        b"\x03\0\xff\xff" + b"\x11" * 60,
        CONFIRMED + b"\xff" * 40,
    ],
    ids=["hangs up", "echoes", "another protocol", "too short", "half", "right, then nonsense"],
)
def test_controller_that_talks_nonsense_is_one_line_and_the_right_one_is_found_again(answer, make_sink, frames):
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def talk():
            with stranger.accept()[0] as one, contextlib.suppress(OSError):
                for _ in range(1 + (answer or b"").startswith(CONFIRMED)):
                    asked = one.recv(4096)
                    if answer is not None:
                        one.sendall(answer or asked)

        thread = threading.Thread(target=talk)
        thread.start()
        port = stranger.getsockname()[1]
        sink = make_sink(f"s7://127.0.0.1:{port}/DB100")
        with pytest.raises(SinkError, match=r"^controller 127\.0\.0\.1, DB100: ") as error:
            sink.open()
        assert "\n" not in str(error.value)
        with pytest.raises(SinkError):
            sink.send(frames(1))
        sink.close()
        thread.join(10)
    right = Controller(port)
    sink.open()
    sink.send(frames(1))
    assert right.words()[3] == 1
    right.stop()


def test_missing_block_is_one_line(controller, make_sink, running):
    sink = make_sink(f"s7://127.0.0.1:{controller.port}/DB7")
    sink.open()
    with pytest.raises(SinkError, match=r"DB7"):
        sink.heartbeat(running)


def test_controller_that_restarts_gets_the_newest(controller, make_sink, frames, running, until):
    sink = make_sink(f"s7://127.0.0.1:{controller.port}/DB100", timeout=1.0)
    sink.open()
    sink.send(frames(3))
    controller.stop()
    with pytest.raises(SinkError):
        sink.send(frames(8))
    other = Controller(controller.port)
    sink.open()
    sink.send(frames(9))
    sink.heartbeat(running)
    words = other.words()
    assert (words[3], words[17]) == (9, 9)  # the newest, and all of them counted
    other.stop()


@pytest.mark.parametrize(
    "url", ["s7://plc", "s7://plc/DB0", "s7://plc/DB70000", "s7:///DB5", "s7://plc/DB5?slot=99", "s7://plc/DB5?speed=1"]
)
def test_address_that_makes_no_sense_is_one_line(url, make_sink):
    with pytest.raises(InputError, match=r"^-sinks s7://"):
        make_sink(url)


def test_missing_library_says_how_to_get_it(make_sink, monkeypatch):
    monkeypatch.setitem(sys.modules, "snap7", None)
    with pytest.raises(InputError, match=r"python-snap7.* requirements-line\.txt$"):
        make_sink("s7://plc/DB5")
