"""S7: the words of ``plc_block`` written into a data block of a Siemens controller."""

import contextlib
import logging
import re
import struct
import time
from collections.abc import Sequence
from typing import Any

from utils.line.event import Event
from utils.line.extras import extra
from utils.line.sinks.plc_block import WORDS, PlcCounters
from utils.line.sinks.sink import AT_ONCE, Address, Sink, SinkError, SinkOptions
from utils.line.state import LineState

PORT = 102
BYTES = 2 * WORDS  # fit into one telegram, whose smallest size leaves 212 for data
ACK_OFFSET = BYTES  # of the DINT in which the controller says what it has read

log = logging.getLogger("steel.line")


def make(address: Address, options: SinkOptions) -> Sink:
    """Return the sink of ``s7://``; raises ``InputError`` for an address that makes no sense."""
    extra(address, "snap7")
    address.only("rack", "slot", "start", "ack")
    found = re.fullmatch(r"/DB([1-9]\d{0,4})", address.url_path, re.IGNORECASE)
    if not address.host or found is None or int(found[1]) > 65535 or address.user is not None:
        raise address.error("expected s7://CONTROLLER/DB100?rack=0&slot=1")
    return S7Sink(
        address.text,
        address.host,
        address.port or PORT,
        int(found[1]),
        options,
        rack=int(address.number("rack", 0, 0, 7)),
        slot=int(address.number("slot", 1, 0, 31)),
        start=int(address.number("start", 0, 0, 65_400)),
        waits=bool(address.number("ack", 0, 0, 1)),
    )


class S7Sink:
    """Writes 128 bytes into a data block, for each event and each heartbeat, with one telegram.

    Args:
        name: of the sink.
        host: of the controller.
        port: of it.
        block: number of the data block.
        options: of the service.
        rack: of the controller.
        slot: of it: 1 for S7-1200 and S7-1500, 2 for S7-300.
        start: first byte in the data block.
        waits: whether each event waits until the controller has copied its ``seq`` behind the words.
    """

    gather = AT_ONCE

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        block: int,
        options: SinkOptions,
        rack: int = 0,
        slot: int = 1,
        start: int = 0,
        waits: bool = False,
    ) -> None:
        self.name = name
        self._host, self._port, self._rack, self._slot = host, port, rack, slot
        self._db, self._start, self._waits, self._options = block, start, waits, options
        self._counters = PlcCounters(options.classes)
        self._healthy = False
        self._beats = 0
        self._done = 0  # place in the spool up to which the controller has everything
        self._client: Any = None

    def open(self) -> None:
        """Connect; raises ``SinkError``."""
        import snap7

        self._let_go()
        self._client = snap7.Client()
        with self._errors():
            self._client.connect(self._host, self._rack, self._slot, self._port)

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Write them one after the other; raises ``SinkError``. What was written before an error is not written again."""
        until = time.monotonic() + self._options.timeout
        for seq, event in events:
            if seq <= self._done:
                continue
            self._counters.take(seq, event)
            self._write()
            if self._waits:
                self._wait_for(seq, until)
            self._done = seq
            if time.monotonic() > until:
                raise SinkError(f"has not taken all events within {self._options.timeout:.0f} s")

    def heartbeat(self, state: LineState) -> None:
        """Write the state, and count the heartbeat on while the service is healthy; raises ``SinkError``."""
        self._counters.see(state)
        self._healthy = state.healthy
        if state.healthy:
            self._beats += 1
        self._write()

    def close(self) -> None:
        """Write that no verdict holds any more, and disconnect."""
        self._healthy = False
        if self._client is not None:
            try:
                self._write()
            except SinkError as error:
                log.info("%s: no goodbye: %s", self.name, error)
        self._let_go()

    def _write(self) -> None:
        words = self._counters.block.shown(self._healthy, self._beats)
        with self._errors():
            self._client.db_write(self._db, self._start, bytearray(struct.pack(f">{WORDS}H", *words)))

    def _wait_for(self, seq: int, until: float) -> None:
        while True:
            with self._errors():
                read = self._client.db_read(self._db, self._start + ACK_OFFSET, 4)
            if struct.unpack(">I", read)[0] == seq & 0xFFFFFFFF:
                return
            if time.monotonic() > until:
                raise SinkError(f"DB{self._db}: the program of the controller has not taken event {seq}")
            time.sleep(0.005)

    @contextlib.contextmanager
    def _errors(self) -> Any:
        """Turn the errors of the library into ``SinkError``."""
        if self._client is None:
            raise SinkError("not connected")
        try:
            yield
        except SinkError:
            raise
        except Exception as error:  # the library raises RuntimeError, its own, and those of sockets
            text = " ".join(str(error).split()) or type(error).__name__
            raise SinkError(f"controller {self._host}, DB{self._db}: {text[:200]}") from None

    def _let_go(self) -> None:
        if self._client is not None:
            with contextlib.suppress(Exception):
                self._client.disconnect()
            self._client = None
