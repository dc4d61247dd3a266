"""Modbus TCP: a server in this program that controllers read; nobody can write to it.

All that a request shows comes from one block, which is replaced as a whole: OK and NG can never be seen together.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from utils.line.event import Event
from utils.line.extras import extra
from utils.line.sinks.library_log import sum_up
from utils.line.sinks.loop_thread import LoopThread, port_to_listen
from utils.line.sinks.plc_block import WORDS, PlcBlock, PlcCounters
from utils.line.sinks.sink import AT_ONCE, Address, Sink, SinkError, SinkOptions
from utils.line.state import LineState

PORT = 502
COILS = 16
CONNECTIONS = 64  # of clients, at once
MOST_UNREAD = 1_000_000  # bytes of answers that a client may leave unread
OLD = 5.0  # heartbeats without one: from then on the state is unknown, and not healthy


def make(address: Address, options: SinkOptions) -> Sink:
    """Return the sink of ``modbus://``; raises ``InputError`` for an address that makes no sense."""
    extra(address, "pymodbus.server")
    address.only()
    if not address.host or address.url_path.strip("/") or address.user is not None:
        raise address.error("expected modbus://ADDRESS:PORT of this machine, as modbus://0.0.0.0:502")
    return ModbusSink(address.text, address.host, PORT if address.port is None else address.port, options)


class ModbusSink:
    """Shows the newest verdict, its largest defect, counters and a heartbeat.

    Args:
        name: of the sink.
        host: address of this machine to listen on.
        port: to listen on; 0: any free one.
        options: of the service.
    """

    gather = AT_ONCE

    def __init__(self, name: str, host: str, port: int, options: SinkOptions) -> None:
        self.name = name
        self.port = port
        self._host, self._options = host, options
        self._counters = PlcCounters(options.classes)
        self._block: PlcBlock = self._counters.block
        self._healthy = False
        self._beats, self._beaten = 0, float("-inf")
        self._thread: LoopThread | None = None
        self._server: Any = None

    def open(self) -> None:
        """Listen; raises ``SinkError`` where the port is taken or not allowed."""
        if self._thread is not None and self._thread.runs and self._server is not None:
            return
        self._let_go()
        self.damaged = sum_up("pymodbus.logging", self.name)
        self.port = port_to_listen(self._host, self.port)
        self._thread = LoopThread("modbus server")
        try:
            self._server = self._thread.call(self._listen(), self._options.timeout)
        except RuntimeError as error:
            self._let_go()
            raise SinkError(f"cannot listen on {self._host}:{self.port}: {error}") from None

    async def _listen(self) -> Any:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        words = [SimData(0, count=WORDS, values=0, datatype=DataType.REGISTERS)]
        # Device 0 answers for every unit: controllers differ in the number that they ask for.
        device = SimDevice(0, (bits, bits, words, words), action=self._answer)
        server = ModbusTcpServer(device, address=(self._host, self.port))
        self._bound(server)
        await server.serve_forever(background=True)
        return server

    @staticmethod
    def _bound(server: Any) -> None:
        """Keep within bounds what clients take of files and memory: the library takes as many as come, and forgets none.

        Of too many connections that one is closed which has been silent the longest.
        """
        make = server.callback_new_connection
        spoke: dict[Any, float] = {}  # when each open connection did last

        def made() -> Any:
            handler = make()
            begin, take, end = handler.connection_made, handler.callback_data, handler.connection_lost

            def began(transport: Any) -> None:
                begin(transport)
                if len(spoke) >= CONNECTIONS:
                    oldest = min(spoke, key=lambda one: spoke[one])
                    del spoke[oldest]
                    oldest.close()
                spoke[handler] = time.monotonic()

            def taken(data: bytes, addr: Any = None) -> int:
                if handler in spoke:  # it is not on its way out
                    spoke[handler] = time.monotonic()
                if handler.transport.get_write_buffer_size() > MOST_UNREAD:
                    handler.transport.abort()
                    return len(data)
                return int(take(data, addr))

            def ended(error: Exception | None) -> None:
                spoke.pop(handler, None)
                end(error)

            handler.connection_made, handler.callback_data, handler.connection_lost = began, taken, ended
            return handler

        server.callback_new_connection = made

    async def _answer(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: Any
    ) -> Any:
        """Fill in what a request is about to read, all of it from one block; refuse to write."""
        from pymodbus.constants import ExcCodes

        if values is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        shown = self.words()
        # The library has one more register than there are, to mark the end.
        registers[: 1 if function in (1, 2) else WORDS] = shown[:1] if function in (1, 2) else shown
        return None

    def words(self) -> tuple[int, ...]:
        """Return what a controller sees now: 64 numbers from 0 to 65535, word 0 also as coils."""
        fresh = time.monotonic() - self._beaten < OLD * self._options.heartbeat
        return self._block.shown(self._healthy and fresh, self._beats)

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Show them one after the other; raises ``SinkError`` where the server has ended."""
        self._check()
        for seq, event in events:
            if self._counters.take(seq, event):
                self._block = self._counters.block

    def heartbeat(self, state: LineState) -> None:
        """Show the state, and count the heartbeat on while the service is healthy."""
        self._check()
        self._counters.see(state)
        self._block = self._counters.block
        self._healthy = state.healthy
        self._beaten = time.monotonic()
        if state.healthy:
            self._beats += 1

    def close(self) -> None:
        """Stop listening."""
        self._healthy = False
        self._let_go()

    def _check(self) -> None:
        if self._thread is None or not self._thread.runs:
            raise SinkError("the server has ended")

    def _let_go(self) -> None:
        if self._thread is not None:
            if self._server is not None and self._thread.runs:
                with contextlib.suppress(SinkError):  # then its connections end with the loop
                    self._thread.call(self._server.shutdown(), 2.0)
            self._thread.stop()
        self._thread = self._server = None
