"""OPC UA: the server of OPC 40100-1 Machine Vision, driven by a client of the same library."""

import contextlib
import dataclasses
import json
import socket
import subprocess
import sys

import pytest

pytest.importorskip("asyncua")

from utils.errors import InputError
from utils.line.event import from_json
from utils.line.sinks.loop_thread import LoopThread
from utils.line.sinks.opcua import OpcuaSink, read_users
from utils.line.sinks.opcua_limits import ABANDONED, FASTEST, MOST_ASKED, OF_ONE_CLIENT
from utils.line.sinks.opcua_space import node_set
from utils.line.sinks.registry import sink_of
from utils.line.sinks.sink import Address, SinkError, SinkOptions

MANDATORY = (
    *("CreationTime", "InternalConfigurationId", "InternalRecipeId", "IsPartial", "JobId", "ResultId", "ResultState"),
)


class Client:
    """A client that calls, reads and notes events, with functions that wait."""

    def __init__(self, sink, user=None, password=None, security=None, timeout=20):
        self._timeout = timeout
        self.thread = LoopThread("opcua client")
        self.results, self.changes = [], []
        self._sink, self._user, self._password, self._security = sink, user, password, security

    def __enter__(self):
        self.run(self._connect())
        return self

    def __exit__(self, *error):
        self.run(self._client.disconnect())
        self.thread.stop()

    def run(self, work):
        return self.thread.call(work, 30)

    async def _connect(self):
        from asyncua import Client as Connection
        from asyncua import ua

        self._client = Connection(self._sink.endpoint, timeout=self._timeout)
        if self._security:
            self._client.application_uri = "urn:steel-defects:client"
            await self._client.set_security_string(self._security)
        if self._user:
            self._client.set_user(self._user)
            self._client.set_password(self._password)
        await self._client.connect()
        await self._client.load_data_type_definitions()
        self.vision = await self._client.get_namespace_index("http://opcfoundation.org/UA/MachineVision")
        self.own = await self._client.get_namespace_index("urn:steel-defects:line")
        self.line = self._client.get_node(ua.NodeId("line", self.own))
        for number, found in ((1024, self.results), (1018, self.changes)):
            subscription = await self._client.create_subscription(20, Noting(found))
            await subscription.subscribe_events(self.line, self._client.get_node(ua.NodeId(number, self.vision)))

    def call(self, path, *arguments):
        from asyncua import ua

        async def called():
            *parents, name = [f"{self.vision}:{part}" for part in path.split("/")]
            parent = await self.line.get_child(parents)
            return await parent.call_method(name, *(ua.Variant(a) if a is None else a for a in arguments))

        return self.run(called())

    def value(self, path):
        async def read():
            node = self._client.get_node(f"ns={self.own};s=line.{path}")
            return (await node.read_data_value(False)).Value.Value

        return self.run(read())

    @property
    def place(self):
        mode = self.value("VisionStateMachine.AutomaticModeStateMachine.CurrentState")
        return self.value("VisionStateMachine.CurrentState").Text, mode.Text if mode else ""


class Noting:
    def __init__(self, found):
        self._found = found

    def event_notification(self, event):
        self._found.append(event)


AUTOMATIC = "VisionStateMachine/AutomaticModeStateMachine"


@pytest.fixture(scope="module")
def orders():
    return []


@pytest.fixture(scope="module")
def server(orders, running):
    """One server for all tests of this file: its address space takes seconds. Places in the spool grow from test to test."""
    options = SinkOptions(line="L3", classes=("pit", "crack"), order=orders.append)
    sink = sink_of("opcua://127.0.0.1:0?orders=1&segment=1&keep=50", options)
    sink.open()
    sink.heartbeat(running)
    yield sink
    sink.close()


@pytest.fixture
def client(server, orders, running):
    orders.clear()
    server.heartbeat(running)
    with Client(server) as made:
        yield made


@pytest.mark.slow
def test_result_ready_has_all_mandatory_fields(server, client, frames, coil, until):
    events = frames(9, 1)
    server.send(events)
    server.send([(20, dataclasses.replace(coil, seq=20))])
    until(lambda: len(client.results) == 9 + 2 + 1 + 1)
    for event in client.results:
        assert [name for name in MANDATORY if getattr(event, name) is None] == []
        assert event.JobId.Id == event.PartId.Id == "A4711"
        assert event.InternalRecipeId.Hash == bytes.fromhex("ab" * 32)
        assert type(event.InternalRecipeId).__name__ == "RecipeIdInternalDataType"
        assert type(event.InternalConfigurationId).__name__ == "ConfigurationIdDataType"
    whole = [event for event in client.results if not event.IsPartial]
    assert [from_json(event.ResultContent[1]) for event in whole[:9]] == [event for _, event in events]
    assert [event.ResultId.Id for event in whole[:9]] == [event.id for _, event in events]
    states = {event.ResultContent[0]: event.ResultState for event in whole}
    assert states == {"OK": 1, "NG": 1, "NO_VERDICT": 4}
    assert whole[-1].ResultId.Id == coil.id
    partial = [event for event in client.results if event.IsPartial]
    assert [json.loads(event.ResultContent[1])["segment"] for event in partial] == [0, 1, 2]


@pytest.mark.slow
def test_client_drives_the_state_machine(server, client, orders, running, until):
    from asyncua import ua

    def number(value):
        return ua.Variant(value, ua.VariantType.Int32)

    assert client.place == ("Operational", "ContinuousExecution")
    with pytest.raises(ua.UaStatusCodeError, match=r"BadInvalidState"):
        client.call(f"{AUTOMATIC}/StartSingleJob", ua.MeasIdDataType(), ua.PartIdDataType(), None, None, None)
    assert client.call(f"{AUTOMATIC}/Stop", number(0), "shift ends") == 0
    assert client.place == ("Operational", "Ready")
    server.heartbeat(dataclasses.replace(running, condition="paused"))
    part = ua.PartIdDataType(Id="B7")
    job, error = client.call(f"{AUTOMATIC}/StartContinuous", ua.MeasIdDataType(), part, None, None, None)
    assert (job.Id, error) == ("B7", 0)
    assert client.place == ("Operational", "ContinuousExecution")
    server.heartbeat(running)
    assert client.call("VisionStateMachine/Halt", number(0), "") == 0
    assert client.place == ("Halted", "")
    assert client.call("VisionStateMachine/Reset", number(0), "") == 0
    assert client.call("VisionStateMachine/SelectModeAutomatic") == 0
    assert client.place == ("Operational", "Ready")
    kinds = [(order.kind, order.coil_id) for order in orders]
    assert kinds == [("pause", None), ("coil", "B7"), ("resume", None), ("pause", None), ("pause", None)]
    until(lambda: len(client.changes) >= 6)
    assert [event.ToState.Text for event in client.changes][:3] == [
        "Operational.Ready",
        "Operational.ContinuousExecution",
        "Halted",
    ]
    server.heartbeat(dataclasses.replace(running, condition="fault"))
    assert client.place == ("Error", "")
    assert client.value("VisionStateMachine.CurrentState.Id").Identifier == 5030


@pytest.mark.slow
def test_harmful_coil_is_refused(server, client, orders, logged):
    refused = server.orders.counts["refused"]

    async def new_coil(name):
        return await client.line.call_method(f"{client.own}:NewCoil", name)

    assert client.run(new_coil("C 8")) == 0
    assert client.run(new_coil("../etc")) == -1
    assert client.run(new_coil("")) == 0
    assert [order.coil_id for order in orders] == ["C 8", None]
    assert server.orders.counts["refused"] == refused + 1
    assert len(logged) <= 1


@pytest.mark.slow
def test_client_that_was_away_asks_for_results(server, client, frames, until):
    from asyncua import ua

    events = frames(60, 101)
    server.send(events)

    def listed(state=0, part="", first=0, most=100):
        names = (ua.MeasIdDataType(), ua.PartIdDataType(Id=part), *[None] * 5, ua.JobIdDataType())
        state, most, first = (
            ua.Variant(v, k)
            for v, k in ((state, ua.VariantType.Int32), (most, ua.VariantType.UInt32), (first, ua.VariantType.UInt32))
        )
        timeout = ua.Variant(0, ua.VariantType.Int32)
        return client.call("ResultManagement/GetResultListFiltered", state, *names, most, first, timeout)

    complete, count, _, results, error = listed()
    assert (complete, count, error) == (True, 50, 0)  # no more are kept
    whole = [result.ResultId.Id for result in results if not result.IsPartial]
    assert whole == [event.id for _, event in events][-len(whole) :]
    complete, count, _, results, _ = listed(state=4, part="A4711", most=5)
    assert (complete, count, {result.ResultState for result in results}) == (False, 5, {4})
    assert listed(part="none")[1] == 0
    timeout = ua.Variant(0, ua.VariantType.Int32)
    _, result, error = client.call("ResultManagement/GetResultById", ua.ResultIdDataType(events[-1][1].id), timeout)
    assert error == 0
    assert from_json(result.ResultContent[1].Value) == events[-1][1]
    assert client.call("ResultManagement/GetResultById", ua.ResultIdDataType("none"), timeout)[2] == -2
    parts = client.call("ResultManagement/GetResultComponentsById", ua.ResultIdDataType(events[-1][1].id), timeout)
    assert (parts[6].Id, parts[-1]) == ("A4711", 0)


@pytest.mark.slow
def test_ok_is_taken_back_and_the_heartbeat_stops(server, client, frame, running):
    server.send([(1001, frame(1001))])
    assert client.value("Verdict") == "OK"
    beats = client.value("Heartbeat")
    server.heartbeat(dataclasses.replace(running, condition="starved", alarms=("darker",)))
    assert (client.value("Verdict"), client.value("Healthy")) == ("NO_VERDICT", False)
    assert (client.value("Heartbeat"), client.value("Alarms")) == (beats, "darker")
    server.heartbeat(running)
    assert (client.value("Verdict"), client.value("Heartbeat")) == ("OK", beats + 1)


@pytest.mark.slow
def test_results_that_were_not_shown_in_time_come_later(server, client, frames, until, monkeypatch):
    trigger = server._space._trigger
    left = [2]

    async def slow(result):
        if not left[0]:
            raise SinkError("too slow")
        left[0] -= 1
        await trigger(result)

    monkeypatch.setattr(server._space, "_trigger", slow)
    events = [(seq, dataclasses.replace(event, position_m=None)) for seq, event in frames(3, 1501)]
    with pytest.raises(SinkError, match=r"too slow"):
        server.send(events)
    monkeypatch.undo()
    server.send(events)
    ids = [event.id for _, event in events]
    until(lambda: [one.ResultId.Id for one in client.results if one.ResultId.Id in ids] == ids)


@pytest.mark.slow
def test_strangers_stop_nothing_and_are_one_line(server, client, frame, running, logged, until):
    server.damaged._quiet._until = float("-inf")
    before = server.damaged.count
    for damage in (b"", b"\xff" * 300, b"GET / HTTP/1.0\r\n\r\n", b"HELF\0\0\0\0", b"MSGF\x40\0\0\0" + b"\1" * 56) * 20:
        with socket.create_connection(("127.0.0.1", server.port)) as stranger, contextlib.suppress(OSError):
            stranger.sendall(damage)
            stranger.settimeout(0.05)
            stranger.recv(1)
    until(lambda: server.damaged.count >= before + 20)
    until(lambda: len(server._server.bserver.clients) < 5)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as greedy:
        greedy.sendall(b"HELF" + (2**31).to_bytes(4, "little") + b"x" * (MOST_ASKED + 1))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                server.heartbeat(running)
                greedy.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    assert greedy.recv(1) == b""
                    break
            else:
                raise AssertionError("it is still there")
    server.send([(1801, frame(1801))])
    assert client.value("Verdict") == "OK"
    assert [(name, line.partition(": ")[2].lstrip("0123456789")[:30]) for name, line in logged] == [
        ("steel.line", " damaged requests or lost conn"),
        ("steel.line", " connections were closed that "),
    ]


@pytest.mark.slow
def test_hundreds_of_subscriptions_are_slowed_down_and_limited(server, frame, running, until):
    from asyncua import ua

    async def subscribe(client):
        made = []
        for _ in range(OF_ONE_CLIENT):
            made.append(await client._client.create_subscription(0, Noting([])))
        return made

    with Client(server) as greedy, Client(server) as client:
        with pytest.raises(ua.UaStatusCodeError, match="TooMany"):
            greedy.run(subscribe(greedy))
        subscription = client.run(client._client.create_subscription(1, Noting([])))
        inner = server._server.iserver.subscription_service.subscriptions[subscription.subscription_id]
        assert inner.data.RevisedPublishingInterval == FASTEST
        assert inner.data.RevisedLifetimeCount * FASTEST <= ABANDONED
        event = frame(1901)
        server.heartbeat(running)
        server.send([(1901, event)])
        until(lambda: event.id in [one.ResultId.Id for one in client.results])


@pytest.mark.slow
def test_client_changes_neither_variables_nor_nodes(client):
    from asyncua import ua

    async def write():
        await client._client.get_node(f"ns={client.own};s=line.Verdict").write_value("OK")

    async def delete():
        await client._client.delete_nodes([client.line])

    for work in (write(), delete()):
        with pytest.raises(ua.UaError):
            client.run(work)


@pytest.mark.slow
def test_another_process_reads_the_fields_by_the_server_alone(server, frame):
    """The types of this process may come from the server; those of another one come over the wire."""
    code = f"""
import asyncio
from asyncua import Client, ua
found = []
class Noting:
    def event_notification(self, event):
        found.append(event)
async def main():
    async with Client({server.endpoint!r}, timeout=20) as client:
        await client.load_data_type_definitions()
        subscription = await client.create_subscription(20, Noting())
        own, vision = [await client.get_namespace_index(name) for name in ("urn:steel-defects:line", "http://opcfoundation.org/UA/MachineVision")]
        await subscription.subscribe_events(client.get_node(ua.NodeId("line", own)), client.get_node(ua.NodeId(1024, vision)))
        print("listens", flush=True)
        while not found:
            await asyncio.sleep(0.02)
        event = found[0]
        print(event.InternalRecipeId.Id, event.InternalConfigurationId.Id, event.ResultId.Id, event.JobId.Id, event.ResultState, event.IsPartial)
asyncio.run(asyncio.wait_for(main(), 40))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "listens\n"
    event = frame(2001, "NG")
    server.send([(2001, event)])
    lines = process.stdout.read().splitlines()
    assert process.wait(60) == 0
    words = lines[0].split()
    assert words[:2] == ["weights", "thresholds"]
    assert words[3:] == ["A4711", "2", "True"] or words[2:] == [event.id, "A4711", "1", "False"]


@pytest.mark.slow
def test_users_get_in_by_encrypted_connections_and_others_do_not(make_sink, tmp_path):
    from asyncua import ua

    for name in ("server", "client"):
        words = f"req -x509 -newkey rsa:2048 -nodes -keyout {name}-key.pem -out {name}.pem -days 2 -subj /CN={name}"
        uri = f"subjectAltName=URI:urn:steel-defects:{name},IP:127.0.0.1"
        command = ["openssl", *words.split(), "-addext", uri]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (tmp_path / "users").write_text("# who\nscada:hidden:word\n")
    files = f"users_file={tmp_path}/users&cert={tmp_path}/server.pem&key={tmp_path}/server-key.pem"
    sink = make_sink(f"opcua://127.0.0.1:0?{files}", line="server")
    sink.open()
    security = f"Basic256Sha256,SignAndEncrypt,{tmp_path}/client.pem,{tmp_path}/client-key.pem,{tmp_path}/server.pem"
    with Client(sink, "scada", "hidden:word", security) as client:
        assert client.place == ("Preoperational", "")
    strangers = [("scada", "wrong", security), (None, None, security), ("scada", "hidden:word", None)]
    for user, password, how in strangers:
        stranger = Client(sink, user, password, how, timeout=5)
        with pytest.raises((ua.UaError, OSError)):  # of a server that hangs up it hears nothing
            stranger.__enter__()
        stranger.thread.stop()


def test_node_set_is_as_it_was_taken():
    text = node_set()
    assert "OPC Foundation MIT License" in text[:3000]
    assert text.count('<Definition Name="1:') > 15
    assert 'IdDataType" />' not in text


def test_orders_need_users_or_leave(make_sink, tmp_path):
    (tmp_path / "users").write_text("scada:word\n")
    assert make_sink("opcua://127.0.0.1:0").orders is None
    assert make_sink("opcua://127.0.0.1:0?orders=1").orders is not None
    assert make_sink(f"opcua://127.0.0.1:0?users_file={tmp_path}/users").orders is not None


def test_users_are_read(tmp_path):
    (tmp_path / "users").write_text("# who\n\nscada:a:b\nmes:c\n")
    address = Address.parse(f"opcua://127.0.0.1?users_file={tmp_path}/users", "-sinks")
    assert read_users(address) == {"scada": "a:b", "mes": "c"}


def test_port_that_is_taken_is_one_line(make_sink):
    with socket.create_server(("127.0.0.1", 0)) as other:
        sink = make_sink(f"opcua://127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(SinkError, match=r"^cannot listen on .*in use"):
            sink.open()


def test_server_that_has_ended_is_one_line(running):
    sink = OpcuaSink("opcua://127.0.0.1", "127.0.0.1", 0, SinkOptions())
    for work in (lambda: sink.heartbeat(running), lambda: sink.send([])):
        with pytest.raises(SinkError, match=r"the server has ended"):
            work()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("opcua://", "expected opcua://ADDRESS"),
        ("opcua://0.0.0.0/path", "expected opcua://ADDRESS"),
        ("opcua://0.0.0.0?segment=0", "segment=0"),
        ("opcua://0.0.0.0?cert={here}", "cert and key go together"),
        ("opcua://0.0.0.0?cert={here}&key={here}", "PEM files"),
        ("opcua://0.0.0.0?users_file={users}", "passwords would go over the network"),
        ("opcua://127.0.0.1?users_file={broken}", "user 1: expected NAME:PASSWORD"),
        ("opcua://127.0.0.1?users_file={empty}", "has no user"),
    ],
)
def test_address_that_makes_no_sense_is_one_line(url, word, make_sink, tmp_path):
    for name, text in {"users": "a:b\n", "broken": "scada\n", "empty": "\n"}.items():
        (tmp_path / name).write_text(text)
    names = {name: tmp_path / name for name in ("users", "broken", "empty")}
    with pytest.raises(InputError, match=r"^-sinks opcua://") as told:
        make_sink(url.format(here=__file__, **names))
    assert word in str(told.value)
    assert "scada" not in str(told.value)


def test_missing_library_says_how_to_get_it(make_sink, monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncua", None)
    with pytest.raises(InputError, match=r"asyncua.* requirements-line\.txt$"):
        make_sink("opcua://127.0.0.1:0")
