"""OPC UA: a server after OPC 40100-1 Machine Vision, whose clients drive the state machine and receive ResultReady."""

import hmac
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from utils.line.event import Event
from utils.line.extras import extra
from utils.line.sinks.credentials import file_of, tls
from utils.line.sinks.library_log import sum_up
from utils.line.sinks.loop_thread import LoopThread, port_to_listen
from utils.line.sinks.mqtt_connection import LOOPBACK
from utils.line.sinks.opcua_limits import drop_greedy, limit
from utils.line.sinks.opcua_space import OpcuaSpace
from utils.line.sinks.received_orders import Orders
from utils.line.sinks.sink import AT_ONCE, Address, Sink, SinkError, SinkOptions
from utils.line.sinks.vision_results import VisionResult, VisionResults
from utils.line.state import LineState

PORT = 4840
SEGMENT = 10.0  # metres
KEPT = 10_000  # results for clients that were away
STARTING = 120.0  # seconds that the address space may take: some 5 where nothing else runs

log = logging.getLogger("steel.line")


def make(address: Address, options: SinkOptions) -> Sink:
    """Return the sink of ``opcua://``; raises ``InputError`` for an address that makes no sense."""
    extra(address, "asyncua")
    address.only("cert", "key", "users_file", "orders", "segment", "keep")
    if not address.host or address.url_path.strip("/") or address.user is not None:
        raise address.error("expected opcua://ADDRESS:PORT of this machine, as opcua://0.0.0.0:4840")
    cert, key = file_of(address, "cert"), file_of(address, "key")
    if bool(cert) != bool(key):
        raise address.error("cert and key go together")
    tls(address)  # says what is wrong with the files
    users = read_users(address)
    if users is not None and not cert and address.host not in LOOPBACK:
        raise address.error("users without cert and key: their passwords would go over the network as they are")
    orders = bool(address.number("orders", 0, 0, 1)) or users is not None
    return OpcuaSink(
        address.text,
        address.host,
        PORT if address.port is None else address.port,
        options,
        certificate=(cert, key) if cert and key else None,
        users=users,
        orders=orders,
        segment=address.number("segment", SEGMENT, 0.1, 10_000),
        kept=int(address.number("keep", KEPT, 1, 1_000_000)),
    )


def read_users(address: Address) -> dict[str, str] | None:
    """Read the file of lines ``NAME:PASSWORD`` that ``users_file`` names; None where there is no such setting.

    Raises:
        InputError: it cannot be read, or a line has no name or no password.
    """
    name = file_of(address, "users_file")
    if name is None:
        return None
    try:
        with open(name, encoding="utf-8") as file:
            lines = [line.rstrip("\r\n") for line in file if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError):
        raise address.error(f"users_file={name}: cannot be read as text") from None
    users = {}
    for number, line in enumerate(lines, 1):
        user, _, password = line.partition(":")
        if not user or not password:
            raise address.error(f"users_file={name}: user {number}: expected NAME:PASSWORD")
        users[user] = password
    if not users:
        raise address.error(f"users_file={name}: has no user")
    return users


class OpcuaSink:
    """An OPC UA server in a thread of its own.

    Args:
        name: of the sink.
        host: address of this machine to listen on.
        port: to listen on; 0: any free one.
        options: of the service.
        certificate: files of certificate and key; with them only encrypted connections are taken. None: only open ones.
        users: passwords by name; with them nobody else gets in. None: everybody may read.
        orders: whether clients may drive the state machine.
        segment: metres of a partial result.
        kept: results that can be asked for later.
    """

    gather = AT_ONCE

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        options: SinkOptions,
        certificate: tuple[str, str] | None = None,
        users: dict[str, str] | None = None,
        orders: bool = False,
        segment: float = SEGMENT,
        kept: int = KEPT,
    ) -> None:
        self.name = name
        self.port = port
        self._host, self._options, self._certificate, self._users = host, options, certificate, users
        self.orders = Orders(name, options) if orders else None
        self._kept = kept
        self._results = VisionResults(segment)
        self._waiting: deque[VisionResult] = deque()
        self._thread: LoopThread | None = None
        self._server: Any = None
        self._space: OpcuaSpace | None = None

    @property
    def endpoint(self) -> str:
        """Address for clients."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"opc.tcp://{host}:{self.port}/steel"

    def open(self) -> None:
        """Listen; raises ``SinkError`` where the port is taken or not allowed."""
        if self._thread is not None and self._thread.runs and self._space is not None:
            return
        self._let_go()
        logging.getLogger("asyncua").setLevel(logging.ERROR)  # it has a line for every session
        self.damaged = sum_up("asyncua", self.name, logging.ERROR)
        self.port = port_to_listen(self._host, self.port)
        self._thread = LoopThread("opcua server")
        try:
            self._space = self._thread.call(self._start(), STARTING)
        except SinkError:
            self._let_go()
            raise
        except Exception as error:  # the library has errors of its own for certificates, and lets others through
            self._let_go()
            raise SinkError(f"cannot start: {type(error).__name__}: {error}") from None

    async def _start(self) -> OpcuaSpace:
        from asyncua import Server, ua

        server = Server(user_manager=_Users(self._users))
        self._server = server
        await server.init()
        limit(server)
        server.set_endpoint(self.endpoint)
        server.set_server_name(f"steel-defects {self._options.line}")
        await server.set_application_uri(f"urn:steel-defects:{self._options.line}")
        policies = [ua.SecurityPolicyType.NoSecurity]
        if self._certificate:
            policies = [
                ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
                ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
            ]
            # By default the library guesses the format from the ending of the name.
            await server.load_certificate(self._certificate[0], "pem")
            await server.load_private_key(self._certificate[1], format="pem")
        server.set_security_policy(policies)
        server.set_identity_tokens(
            [ua.UserNameIdentityToken] if self._users is not None else [ua.AnonymousIdentityToken]
        )
        space = await OpcuaSpace.make(server, self._options.line, self.orders, self._kept)
        await server.start()
        return space

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Trigger ResultReady of each, and keep the results; raises ``SinkError`` where the server has ended."""
        thread, space = self._running()
        for seq, event in events:
            self._waiting.extend(self._results.of(seq, event))
        # What it does not come to in time it shows at the next call.
        if events:
            thread.call(space.show(self._waiting, events[-1][1]), self._options.timeout)

    def heartbeat(self, state: LineState) -> None:
        """Follow the state of the service, and count the heartbeat on while it is healthy; raises ``SinkError``."""
        thread, space = self._running()
        thread.call(space.see(state), self._options.timeout)
        greedy = thread.call(drop_greedy(self._server), self._options.timeout)
        if greedy:
            log.warning("%s: %d connections were closed that took too much memory", self.name, greedy)

    def close(self) -> None:
        """Stop listening."""
        self._let_go()

    def _running(self) -> tuple[LoopThread, OpcuaSpace]:
        if self._thread is None or self._space is None or not self._thread.runs:
            raise SinkError("the server has ended")
        return self._thread, self._space

    def _let_go(self) -> None:
        if self._thread is not None:
            if self._server is not None and self._thread.runs:
                try:
                    self._thread.call(self._server.stop(), 5.0)
                except Exception as error:  # of a server that has never started
                    log.debug("%s: %s", self.name, error)
            self._thread.stop()
        self._thread = self._server = self._space = None


class _Users:
    """Says who may come in, as the library asks."""

    def __init__(self, users: dict[str, str] | None) -> None:
        self._users = users

    def get_user(
        self, server: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> Any:
        """Return the user; None: refused."""
        from asyncua.crypto.permission_rules import User, UserRole

        if self._users is not None:
            known = self._users.get(username or "")
            given = (password or "").encode()
            # Compared also where there is no such user, so that the time does not tell.
            right = hmac.compare_digest(given, (known if known is not None else "\0").encode())
            if known is None or not right:
                return None
        # This role may not change the address space, and no variable is for writing.
        return User(UserRole.User, username)
