"""The address space of OPC 40100-1 Machine Vision: one vision system, its state machine, its results."""

import asyncio
import contextlib
import gzip
import re
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from utils.line.event import Event, FrameEvent
from utils.line.orders import Order, OrderError
from utils.line.sinks.received_orders import Orders
from utils.line.sinks.vision_results import VisionResult
from utils.line.sinks.vision_states import Step, VisionStates, WrongState
from utils.line.state import LineState

NODE_SET = Path(__file__).parent / "nodesets/Opc.Ua.MachineVision.NodeSet2.xml.gz"
MACHINE_VISION = "http://opcfoundation.org/UA/MachineVision"
NAMESPACE = "urn:steel-defects:line"
MOST_LISTED = 1000  # results of one answer

# Numbers of nodes in the namespace of Machine Vision.
SYSTEM_TYPE, RESULT_READY, STATE_CHANGED = 1003, 1024, 1018
STATE_NODES = {"Preoperational": 5028, "Halted": 5029, "Error": 5030, "Operational": 5031}
MODE_NODES = {"Initialized": 5056, "Ready": 5057, "SingleExecution": 5058, "ContinuousExecution": 5059}

FIELDS = "@fields@"  # a place in a text

# What the type allows and we do not have.
UNUSED = (
    "ConfigurationManagement", "RecipeManagement", "SafetyStateManagement", "SystemState", "DiagnosticLevel",
    "ResultManagement/ReleaseResultHandle", "ResultManagement/ResultTransfer", "ResultManagement/Results",
    "VisionStateMachine/ErrorStepModel", "VisionStateMachine/HaltedStepModel",
    "VisionStateMachine/PreoperationalStepModel",
    *(f"VisionStateMachine/AutomaticModeStateMachine/{name}" for name in (
        "ContinuousExecutionStepModel", "InitializedStepModel", "ReadyStepModel", "SingleExecutionStepModel",
        "SimulationMode",
    )),
)  # fmt: skip

# The value of Error of a method; the specification leaves negative numbers to us.
DONE, REFUSED, NO_SUCH_RESULT = 0, -1, -2


class OpcuaSpace:
    """Nodes of one line; everything here runs in the loop of the server. ``make`` makes it."""

    def __init__(self, server: Any, line: str, orders: Orders | None, kept: int, own: int, vision: int) -> None:
        self._server, self._line, self._orders, self._kept = server, line, orders, kept
        self._own, self._vision = own, vision
        self._states = VisionStates()
        self._results: OrderedDict[str, VisionResult] = OrderedDict()
        self._variables: dict[str, Any] = {}
        self._healthy = False
        self._verdict = "NO_VERDICT"
        self._beats = 0
        self._ready: Any = None
        self._changed: Any = None

    @classmethod
    async def make(cls, server: Any, line: str, orders: Orders | None, kept: int) -> "OpcuaSpace":
        """Build the nodes of the line in a server that has not started.

        Args:
            server: of asyncua, after ``init``.
            line: its name.
            orders: takes those of clients that drive the state machine; None: they only read.
            kept: results that can be asked for.
        """
        await server.import_xml(xmlstring=await asyncio.to_thread(node_set))
        await server.load_data_type_definitions()
        vision = await server.get_namespace_index(MACHINE_VISION)
        own = await server.register_namespace(NAMESPACE)
        space = cls(server, line, orders, kept, own, vision)
        await space._build()
        return space

    def _id(self, path: str) -> Any:
        from asyncua import ua

        return ua.NodeId("line." + path.replace("/", ".") if path else "line", self._own)

    def _node(self, path: str) -> Any:
        return self._server.get_node(self._id(path))

    async def _build(self) -> None:
        from asyncua import ua

        system = await self._server.nodes.objects.add_object(
            self._id(""),
            ua.QualifiedName(self._line, self._own),
            ua.NodeId(SYSTEM_TYPE, self._vision),
            instantiate_optional=True,
        )
        for path in UNUSED:
            await self._server.delete_nodes([self._node(path)], recursive=True)
        await self._add_variables(system)
        new_coil = await system.add_method(
            self._id("NewCoil"),
            ua.QualifiedName("NewCoil", self._own),
            self._new_coil,
            [ua.VariantType.String],
            [ua.VariantType.Int32],
        )
        await self._name_arguments(new_coil, "CoilId", "Error")
        for name in ("Halt", "Reset", "SelectModeAutomatic", "ConfirmAll"):
            self._link(f"VisionStateMachine/{name}", self._method(name))
        for name in ("StartContinuous", "StartSingleJob", "Stop", "Abort"):
            self._link(f"VisionStateMachine/AutomaticModeStateMachine/{name}", self._method(name))
        self._link("ResultManagement/GetResultById", self._get_result)
        self._link("ResultManagement/GetResultComponentsById", self._get_components)
        self._link("ResultManagement/GetResultListFiltered", self._list_results)
        self._ready = await self._server.get_event_generator(ua.NodeId(RESULT_READY, self._vision), system)
        self._changed = await self._server.get_event_generator(ua.NodeId(STATE_CHANGED, self._vision), system)
        await self._show_state()

    def _link(self, path: str, function: Callable[..., Awaitable[Any]]) -> None:
        self._server.link_method(self._node(path), function)

    @staticmethod
    async def _name_arguments(method: Any, *names: str) -> None:
        """Name the arguments of a method of our own, input and output in turn."""
        for node, name in zip(await method.get_children(), names, strict=True):
            arguments = await node.read_value()
            arguments[0].Name = name
            await node.write_value(arguments)

    async def _add_variables(self, system: Any) -> None:
        from asyncua import ua

        kinds = {
            "Verdict": ("NO_VERDICT", ua.VariantType.String),
            "Seq": (0, ua.VariantType.UInt64),
            "CoilId": ("", ua.VariantType.String),
            "Condition": ("starved", ua.VariantType.String),
            "Healthy": (False, ua.VariantType.Boolean),
            "Heartbeat": (0, ua.VariantType.UInt32),
            "Alarms": ("", ua.VariantType.String),
            "LastEvent": ("", ua.VariantType.String),
        }
        for name, (value, kind) in kinds.items():
            node = await system.add_variable(self._id(name), ua.QualifiedName(name, self._own), value, kind)
            self._variables[name] = (node, kind)

    async def _set(self, name: str, value: Any) -> None:
        from asyncua import ua

        node, kind = self._variables[name]
        await node.write_value(ua.Variant(value, kind))

    async def show(self, results: deque[VisionResult], newest: Event) -> None:
        """Trigger ResultReady of results, keep them, and show the newest event in the variables.

        Args:
            results: oldest first; each is taken out when it was shown.
            newest: event.
        """
        while results:
            self._results[results[0].result_id] = results[0]
            while len(self._results) > self._kept:
                self._results.popitem(last=False)
            await self._trigger(results[0])
            results.popleft()
        await self._set("LastEvent", newest.to_json())
        await self._set("Seq", newest.seq)
        if isinstance(newest, FrameEvent):
            self._verdict = newest.verdict
            await self._set("CoilId", newest.coil_id or "")
            await self._set("Verdict", self._verdict if self._healthy else "NO_VERDICT")

    async def see(self, state: LineState) -> None:
        """Show the state of the service, and move the state machine after it."""
        self._healthy = state.healthy
        self._beats = (self._beats + state.healthy) % 2**32
        await self._set("Condition", state.condition)
        await self._set("Healthy", state.healthy)
        await self._set("Heartbeat", self._beats)
        await self._set("Alarms", "\n".join(state.alarms))
        await self._set("Verdict", self._verdict if state.healthy else "NO_VERDICT")
        await self._moved(self._states.see(state.condition))

    async def _trigger(self, result: VisionResult) -> None:
        from asyncua import ua

        values = self._structure(result)
        event = self._ready.event
        plain = {
            "IsPartial": ua.VariantType.Boolean,
            "IsSimulated": ua.VariantType.Boolean,
            "ResultState": ua.VariantType.Int32,
            "CreationTime": ua.VariantType.DateTime,
            "ResultContent": ua.VariantType.String,
        }
        for name in event.data_types:
            if hasattr(values, name):
                event.data_types[name] = plain.get(name, ua.VariantType.ExtensionObject)
                setattr(event, name, getattr(values, name))
        event.ResultContent = [result.verdict, result.content]
        # 1 to 1000 after part 5 of OPC UA; filters of clients ask for it.
        event.Severity = {"OK": 1, "NG": 500}.get(result.verdict, 700)
        await self._ready.trigger(result.created, f"{result.verdict} {result.meas_id or result.part_id or ''}".strip())

    def _structure(self, result: VisionResult) -> Any:
        """Return a ResultDataType."""
        from asyncua import ua

        kinds: Any = ua  # the library puts the types of the node set there
        found = kinds.ResultDataType()
        found.ResultId = kinds.ResultIdDataType(result.result_id)
        found.HasTransferableDataOnFile = False
        found.IsPartial = result.is_partial
        found.IsSimulated = False
        found.ResultState = result.state
        if result.meas_id is not None:
            found.MeasId = kinds.MeasIdDataType(Id=result.meas_id)
        if result.part_id is not None:
            found.PartId = kinds.PartIdDataType(Id=result.part_id)
        found.InternalRecipeId = _binary_id(kinds.RecipeIdInternalDataType, "weights", result.recipe)
        found.InternalConfigurationId = _binary_id(kinds.ConfigurationIdDataType, "thresholds", result.configuration)
        found.JobId = kinds.JobIdDataType(result.job_id)
        found.CreationTime = result.created
        found.ProcessingTimes = kinds.ProcessingTimesDataType(StartTime=result.start, EndTime=result.end)
        found.ResultContent = [ua.Variant(result.verdict), ua.Variant(result.content)]
        return found

    async def _moved(self, steps: Sequence[Step]) -> None:
        """Show transitions, and trigger an event of each."""
        from asyncua import ua

        for step in steps:
            event = self._changed.event
            for name, text in (
                ("FromState", step.begin),
                ("ToState", step.end),
                ("Transition", f"{step.begin} to {step.end}"),
            ):
                event.data_types[name] = ua.VariantType.LocalizedText
                setattr(event, name, ua.LocalizedText(text))
            await self._changed.trigger(message=f"{step.begin} to {step.end}")
        if steps:
            await self._show_state()

    async def _show_state(self) -> None:
        states, mode = self._states, self._states.mode
        await self._show_one("VisionStateMachine/CurrentState", states.state, STATE_NODES[states.state])
        path = "VisionStateMachine/AutomaticModeStateMachine/CurrentState"
        await self._show_one(path, mode or "", MODE_NODES[mode] if mode else None)

    async def _show_one(self, path: str, text: str, number: int | None) -> None:
        from asyncua import ua

        nothing = ua.NodeId() if number is None else ua.NodeId(number, self._vision)
        for node, value in ((self._node(path), ua.LocalizedText(text)), (self._node(f"{path}/Id"), nothing)):
            with contextlib.suppress(ua.UaStatusCodeError):  # a type may have no Id
                await node.write_value(ua.DataValue(ua.Variant(value), self._status(number)))

    @staticmethod
    def _status(number: int | None) -> Any:
        from asyncua import ua

        # What the specification of state machines says of one whose parent is in another state.
        return ua.StatusCode(ua.StatusCodes.Good if number is not None else ua.StatusCodes.BadStateNotActive)

    def _method(self, name: Any) -> Callable[..., Awaitable[Any]]:
        """Return what runs when a client calls a method of the state machine."""
        from asyncua import ua

        def code(value: int) -> Any:
            return ua.Variant(value, ua.VariantType.Int32)

        async def called(parent: Any, *arguments: Any) -> Any:
            coil_id = None
            if name == "StartContinuous":
                part = arguments[1].Value if len(arguments) > 1 else None
                coil_id = getattr(part, "Id", None) or None
            outcome = await self._ask(name, coil_id)
            if not isinstance(outcome, int):
                return outcome
            if name == "ConfirmAll":  # has no result
                return []
            if name in ("StartContinuous", "StartSingleJob"):
                kinds: Any = ua
                job = kinds.JobIdDataType(coil_id or "-") if outcome == DONE else kinds.JobIdDataType("")
                return [ua.Variant(job, ua.VariantType.ExtensionObject), code(outcome)]
            return [code(outcome)]

        return called

    async def _ask(self, name: Any, coil_id: str | None) -> Any:
        """Give the orders of a method; return a number for ``Error``, or a status of OPC UA."""
        from asyncua import ua

        if self._orders is None:
            return ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)
        try:
            for order in self._states.orders(name, coil_id):
                await asyncio.to_thread(self._orders.give, order)
        except WrongState as error:
            self._orders.refuse(str(error))
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)
        except OrderError as error:
            self._orders.refuse(f"{name}: {error}")
            return REFUSED
        await self._moved(self._states.done(name))
        return DONE

    async def _new_coil(self, parent: Any, coil_id: Any) -> Any:
        """Take another coil without a stop; an empty text: it is unknown."""
        from asyncua import ua

        if self._orders is None:
            return ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)
        try:
            await asyncio.to_thread(self._orders.give, Order("coil", coil_id.Value or None))
        except OrderError as error:
            self._orders.refuse(f"NewCoil: {error}")
            return [ua.Variant(REFUSED, ua.VariantType.Int32)]
        return [ua.Variant(DONE, ua.VariantType.Int32)]

    async def _get_result(self, parent: Any, result_id: Any, timeout: Any) -> Any:
        from asyncua import ua

        kinds: Any = ua
        result = self._results.get(getattr(result_id.Value, "Id", None) or "")
        found = self._structure(result) if result else kinds.ResultDataType()
        handle = ua.Variant(0, ua.VariantType.UInt32)
        return [handle, ua.Variant(found, ua.VariantType.ExtensionObject), _error(DONE if result else NO_SUCH_RESULT)]

    async def _get_components(self, parent: Any, result_id: Any, timeout: Any) -> Any:
        from asyncua import ua

        kinds: Any = ua
        result = self._results.get(getattr(result_id.Value, "Id", None) or "")
        found = self._structure(result) if result else kinds.ResultDataType()
        plain = {
            "IsPartial": ua.VariantType.Boolean,
            "IsSimulated": ua.VariantType.Boolean,
            "ResultState": ua.VariantType.Int32,
        }
        names = (
            *("IsPartial", "IsSimulated", "ResultState", "MeasId", "PartId", "ExternalRecipeId", "InternalRecipeId"),
            *("ProductId", "ExternalConfigurationId", "InternalConfigurationId", "JobId"),
        )
        values = [(getattr(found, name), plain.get(name, ua.VariantType.ExtensionObject)) for name in names]
        content = [result.verdict, result.content] if result else []
        return [
            ua.Variant(False, ua.VariantType.Boolean),
            ua.Variant(0, ua.VariantType.UInt32),
            *(ua.Variant(value, kind) if value is not None else ua.Variant() for value, kind in values),
            ua.Variant(found.CreationTime, ua.VariantType.DateTime),
            ua.Variant(found.ProcessingTimes, ua.VariantType.ExtensionObject) if result else ua.Variant(),
            ua.Variant(content, ua.VariantType.String, is_array=True),
            _error(DONE if result else NO_SUCH_RESULT),
        ]

    async def _list_results(self, parent: Any, *filters: Any) -> Any:
        """Return kept results, oldest first, that match: a state, a coil, a job, a frame; empty ones match all."""
        from asyncua import ua

        values = [one.Value for one in filters]
        state, (meas, part, job) = values[0] or 0, (getattr(values[place], "Id", None) or "" for place in (1, 2, 8))
        most, first = min(values[9] or MOST_LISTED, MOST_LISTED), values[10] or 0
        matching = [
            result
            for result in self._results.values()
            if (not state or result.state == state)
            and (not meas or result.meas_id == meas)
            and (not part or result.part_id == part)
            and (not job or result.job_id == job)
        ]
        shown = matching[first : first + most]
        structures = [self._structure(result) for result in shown]
        return [
            ua.Variant(first + len(shown) >= len(matching), ua.VariantType.Boolean),
            ua.Variant(len(shown), ua.VariantType.UInt32),
            ua.Variant(0, ua.VariantType.UInt32),
            ua.Variant(structures, ua.VariantType.ExtensionObject, is_array=True),
            _error(DONE),
        ]


def node_set() -> str:
    """Return the XML of Machine Vision.

    It leaves it to the abstract type of all binary ids what those of recipes and configurations consist of. The library
    would take them for that type itself, which must not be sent. So each gets the fields of its base.
    """
    text = gzip.decompress(NODE_SET.read_bytes()).decode("utf-8")
    base = re.search(r'<Definition Name="1:BinaryIdBaseDataType">(.*?)</Definition>', text, re.DOTALL)
    fields = base[1] if base else ""
    return re.sub(
        r'<Definition Name="(1:\w+IdDataType|1:RecipeId\w+)" />', rf'<Definition Name="\1">{FIELDS}</Definition>', text
    ).replace(FIELDS, fields)


def _error(value: int) -> Any:
    from asyncua import ua

    return ua.Variant(value, ua.VariantType.Int32)


def _binary_id(kind: Any, name: str, digits: str) -> Any:
    """Return an id with a sha256; without it where the event has none."""
    with contextlib.suppress(ValueError):
        if digits:
            return kind(Id=name, Hash=bytes.fromhex(digits), HashAlgorithm="SHA-256")
    return kind(Id=name)
