"""The state machine of OPC 40100-1 Machine Vision, without any library: which state, and which method leads where."""

from dataclasses import dataclass
from typing import Literal

from utils.line.orders import Order
from utils.line.state import Condition

State = Literal["Preoperational", "Halted", "Error", "Operational"]
Mode = Literal["Initialized", "Ready", "SingleExecution", "ContinuousExecution"]
Method = Literal[
    "Halt", "Reset", "SelectModeAutomatic", "ConfirmAll", "StartContinuous", "StartSingleJob", "Stop", "Abort"
]

STALE = 10  # heartbeats after which the service's word counts again, though it has not done what it was asked for


@dataclass(frozen=True)
class Step:
    """A transition that has happened: from one place to another, ``State`` or ``State.Mode``."""

    begin: str
    end: str


class WrongState(Exception):
    """The method is not allowed in this state."""


class VisionStates:
    """Where the vision system is, as the specification names it.

    The service itself decides whether it inspects: methods give orders to it, and ``see`` follows what it says.
    """

    def __init__(self) -> None:
        self.state: State = "Preoperational"
        self.mode: Mode | None = None
        self._awaited: set[Condition] = set()
        self._left = 0

    @property
    def place(self) -> str:
        """The state, with its mode where it has one."""
        return f"{self.state}.{self.mode}" if self.mode else self.state

    def orders(self, method: Method, coil_id: str | None = None) -> list[Order]:
        """Return what the service is to be asked for, before ``done``.

        Args:
            method: that a client calls.
            coil_id: of ``StartContinuous``; None: unknown.

        Raises:
            WrongState: the method is not allowed in this state.
            OrderError: the coil's number could do harm.
        """
        allowed = {
            "Halt": self.state != "Halted",
            "Reset": True,
            "SelectModeAutomatic": self.state == "Preoperational",
            "ConfirmAll": self.state == "Error",
            "StartContinuous": self.mode == "Ready",
            "StartSingleJob": False,  # a line has no single jobs
            "Stop": self.mode == "ContinuousExecution",
            "Abort": self.mode == "ContinuousExecution",
        }
        if not allowed[method]:
            raise WrongState(f"{method} is not allowed in {self.place}")
        match method:
            case "StartContinuous":
                return [Order("coil", coil_id), Order("resume")]
            case "Halt" | "Reset" | "Stop" | "Abort":
                return [Order("pause")]
        return []

    def done(self, method: Method) -> list[Step]:
        """Move on after a method whose orders were taken; return the transitions."""
        match method:
            case "Halt":
                steps = [self._to("Halted")]
            case "Reset":
                steps = [self._to("Preoperational")]
            case "SelectModeAutomatic":
                # The network is loaded already, so what the specification prepares between is there.
                steps = [self._to("Operational", "Initialized"), self._to("Operational", "Ready")]
            case "StartContinuous":
                steps = [self._to("Operational", "ContinuousExecution")]
            case "Stop" | "Abort":
                steps = [self._to("Operational", "Ready")]
            case _:
                steps = []
        if method == "StartContinuous":
            self._await("running", "starved", "overloaded")
        elif steps and method != "SelectModeAutomatic":
            self._await("paused")
        return [step for step in steps if step.begin != step.end]

    def see(self, condition: Condition) -> list[Step]:
        """Follow what the service says; return the transitions.

        What it says before it has had the time to do what a method asked for does not count. A client's Halt and Reset
        hold while the service is paused.
        """
        if condition in ("fault", "stopping"):
            self._awaited = set()
        elif self._awaited:
            self._left -= 1
            if condition in self._awaited or self._left <= 0:
                self._awaited = set()
            else:
                return []
        match condition:
            case "stopping":
                steps = [self._to("Halted")]
            case "fault":
                steps = [self._to("Error")]
            case "paused" if self.state in ("Halted", "Preoperational") and self.mode is None:
                steps = []
            case "paused":
                steps = [self._to("Operational", "Ready")]
            case _:
                steps = self._to_execution()
        return [step for step in steps if step.begin != step.end]

    def _to_execution(self) -> list[Step]:
        """Take the automatic transitions to the execution."""
        steps = []
        if self.state == "Halted":
            steps.append(self._to("Preoperational"))
        if self.state != "Operational":
            steps.append(self._to("Operational", "Initialized"))
        if self.mode == "Initialized":
            steps.append(self._to("Operational", "Ready"))
        return [*steps, self._to("Operational", "ContinuousExecution")]

    def _to(self, state: State, mode: Mode | None = None) -> Step:
        begin = self.place
        self.state, self.mode = state, mode
        return Step(begin, self.place)

    def _await(self, *conditions: Condition) -> None:
        self._awaited, self._left = set(conditions), STALE
