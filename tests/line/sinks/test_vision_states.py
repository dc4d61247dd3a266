"""The state machine of OPC 40100-1: which method is allowed where, and how it follows the service."""

import pytest

from utils.line.orders import OrderError
from utils.line.sinks.vision_states import STALE, VisionStates, WrongState

EXECUTION, READY = "Operational.ContinuousExecution", "Operational.Ready"


def places(steps):
    return [step.end for step in steps]


def machine(*conditions):
    made = VisionStates()
    for condition in conditions:
        made.see(condition)
    return made


@pytest.mark.parametrize(
    ("conditions", "place"),
    [
        ((), "Preoperational"),
        (("running",), EXECUTION),
        (("starved",), EXECUTION),
        (("paused",), "Preoperational"),
        (("running", "paused"), READY),
        (("running", "paused", "running"), EXECUTION),
        (("running", "fault"), "Error"),
        (("running", "fault", "running"), EXECUTION),
        (("running", "fault", "paused"), READY),
        (("running", "stopping"), "Halted"),
        (("stopping", "running"), EXECUTION),
    ],
)
def test_follows_the_service(conditions, place):
    assert machine(*conditions).place == place


def test_every_transition_on_the_way_is_told():
    assert places(VisionStates().see("running")) == ["Operational.Initialized", READY, EXECUTION]
    assert machine("running").see("running") == []


ALLOWED = {
    "Preoperational": {"Halt", "Reset", "SelectModeAutomatic"},
    "Halted": {"Reset"},
    "Error": {"Halt", "Reset", "ConfirmAll"},
    READY: {"Halt", "Reset", "StartContinuous"},
    EXECUTION: {"Halt", "Reset", "Stop", "Abort"},
}
METHODS = (
    *("Halt", "Reset", "SelectModeAutomatic", "ConfirmAll"),
    *("StartContinuous", "StartSingleJob", "Stop", "Abort"),
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "conditions", [(), ("stopping",), ("fault",), ("running", "paused"), ("running",)], ids=list(ALLOWED)
)
def test_methods_are_allowed_where_the_specification_says(method, conditions):
    states = machine(*conditions)
    if method in ALLOWED[states.place]:
        states.orders(method)
    else:
        with pytest.raises(WrongState, match=r"is not allowed in"):
            states.orders(method)


def test_stop_and_start_with_another_coil():
    states = machine("running")
    assert [order.kind for order in states.orders("Stop")] == ["pause"]
    assert places(states.done("Stop")) == [READY]
    assert states.see("running") == []  # it has not heard yet
    states.see("paused")
    orders = states.orders("StartContinuous", "B7")
    assert [(order.kind, order.coil_id) for order in orders] == [("coil", "B7"), ("resume", None)]
    assert places(states.done("StartContinuous")) == [EXECUTION]
    assert states.see("paused") == []
    assert states.see("running") == []
    assert places(states.see("paused")) == [READY]  # somebody else paused it


def test_halt_and_reset_hold_while_the_service_is_paused():
    states = machine("running")
    states.done("Halt")
    states.see("paused")
    states.see("paused")
    assert states.place == "Halted"
    states.done("Reset")
    assert states.place == "Preoperational"
    assert places(states.done("SelectModeAutomatic")) == ["Operational.Initialized", READY]


def test_service_that_does_not_obey_is_believed_in_the_end():
    states = machine("running")
    states.done("Halt")
    for _ in range(STALE):
        assert states.place == "Halted"
        states.see("running")
    assert states.place == EXECUTION


def test_harmful_coil_is_refused():
    with pytest.raises(OrderError):
        machine("running", "paused").orders("StartContinuous", "../x")
