"""What ``-backend auto`` and ``-precision auto`` take: the fastest of what they may take whose masks agree with torch in f32.

Both are measured on the first images of the run, once for each network and machine: the choice is kept on disk.
"""

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import torch

from utils.decision.probabilities import label_probabilities
from utils.device import check_precision, choose_device, cpu_has_bf16, cpu_threads, processor, version
from utils.errors import InputError
from utils.inference.backends import BACKENDS
from utils.inference.backends.int8 import find_int8
from utils.inference.backends.store import Store
from utils.inference.network import ChooseImages, Network, Outputs, Settings
from utils.weights.weights_file import WeightsFile

AGREEMENT = 0.999  # least Dice of a class between the masks of two backends
SPECKS = 1e-5  # share of the pixels that may differ whatever the Dice: a class that is hardly there has no steady one
LABELS = 0.01  # largest difference between probabilities of whole images
FEWEST = 16  # images of a run from which measuring pays
SHOWN = 4  # images to measure on
INT8 = ("openvino", "int8")
# Of 8-bit integers on the first images of a run: their proof is what Export_model.py has measured on more of them, but images
# of another camera may leave the range of numbers that they were calibrated for.
INT8_AGREEMENT = 0.9
PLAIN = ("torch", "f32")  # what all others are compared with
PATIENCE = 20.0  # seconds, after which a backend that is faster than torch is good enough


_measuring: list[threading.Thread] = []


@dataclass(frozen=True)
class Choice:
    """What was taken, and why."""

    backend: str
    precision: str
    reason: str


def choose(
    weights: WeightsFile, settings: Settings, backends: Sequence[str], images: int | None, meanwhile: bool = False
) -> Network:
    """Make the fastest of several ready to run.

    Args:
        weights: the network.
        settings: how to run it; its precision may be ``auto``.
        backends: names of ``BACKENDS`` to choose from.
        images: how many will come; none: many.
        meanwhile: torch in f32 answers at once while the others are measured, where it may be taken.

    Raises:
        InputError: the machine has no such device or cannot compute in this precision, or none of the backends can
            run here.
    """
    if settings.precision == "f16":  # before anything is measured; what else a machine cannot do is left out
        check_precision(settings.precision, choose_device(settings.device))
    candidates = list_candidates(settings, backends)
    if not candidates:
        return BACKENDS[backends[0]](weights, settings)  # its refusal says what is missing
    may_be_int8 = settings.precision == "auto" and any(backend == "openvino" for backend, _ in candidates)
    if len(candidates) == 1 and not may_be_int8:
        return _open(weights, settings, *candidates[0])
    store = Store(weights)
    objection = _int8_objection(weights, store) if may_be_int8 else None
    if objection == "":
        candidates = [INT8, *candidates]
    remark = objection or ""
    if len(candidates) == 1:
        return _open(weights, settings, *candidates[0])
    key = _key(settings, candidates)
    kept = store.note(key)
    if kept is not None and (kept["backend"], kept["precision"]) in candidates:
        choice = Choice(**kept)
        _tell(choice, " (measured earlier)", remark)
        return _open(weights, settings, choice.backend, choice.precision)
    if images is not None and images < FEWEST:
        # Measuring would take longer than the images do; what ran stands behind the result.
        plain = next((c for c in candidates if c == ("torch", "f32")), candidates[-1])
        return _open(weights, settings, *plain)
    return ChoosingNetwork(weights, settings, candidates, store, key, meanwhile and PLAIN in candidates, remark)


def list_candidates(settings: Settings, backends: Sequence[str]) -> list[tuple[str, str]]:
    """List the backends and precisions that this machine has, the likely fastest first."""
    # What a backend for CPUs alone was named for runs there, on a machine with a GPU too.
    gpu = choose_device(settings.device).type == "cuda" and ("torch" in backends or settings.device == "cuda")
    precisions = [settings.precision]
    if settings.precision == "auto":
        precisions = ["bf16", "f32"] if (torch.cuda.is_bf16_supported() if gpu else cpu_has_bf16()) else ["f32"]
    return [
        (backend, precision)
        for backend in backends
        for precision in precisions
        if backend == "torch" or (not gpu and importlib.util.find_spec(backend))
        if backend != "onnxruntime" or precision == "f32"
        if backend == "openvino" or precision != "int8"
    ]


class ChoosingNetwork:
    """Measures on the first batch, then is the network that won.

    Args:
        weights: the network.
        settings: how to run it.
        candidates: pairs of backend and precision.
        store: where the choice is kept.
        key: of the choice there.
        meanwhile: answer with torch in f32 at once, measure in a thread, and change over to what has won.
        remark: why 8-bit integers are not among the candidates; "" where there is nothing to say.
    """

    def __init__(
        self,
        weights: WeightsFile,
        settings: Settings,
        candidates: Sequence[tuple[str, str]],
        store: Store,
        key: str,
        meanwhile: bool = False,
        remark: str = "",
    ) -> None:
        self._remark = remark
        self._weights, self._settings, self._candidates = weights, settings, candidates
        self._store, self._key = store, key
        self._lock = threading.Lock()
        self._network: Network | None = None
        self._meanwhile = meanwhile
        self._plain: Network | None = None  # answers until there is a choice
        self.parallel = min(cpu_threads(settings.threads), 8) + 1
        self._turns = threading.Semaphore()

    @property
    def name(self) -> str:
        """Name of the network that won."""
        if self._network is None and self._plain is not None:
            return f"{self._plain.name} until a faster backend is proven"
        return self._network.name if self._network else "auto"

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        with self._lock:
            if self._network is None and not self._meanwhile:
                self._change_over(*self._measure(images[:SHOWN]))
            elif self._network is None and self._plain is None:
                self._plain = _open(self._weights, self._settings, *PLAIN)
                self._turns = threading.Semaphore(self._plain.parallel)
                shown = images[:SHOWN].copy()
                thread = threading.Thread(target=self._prove, args=(shown,), name="measuring", daemon=True)
                _measuring.append(thread)
                thread.start()
            network, turns = self._network or self._plain, self._turns
        assert network is not None
        with turns:
            return network(images, choose)

    def _prove(self, images: np.ndarray) -> None:
        """Measure while torch answers; the body of a thread."""
        try:
            choice, network = self._measure(images)
            network(images)  # what is only done once is done before anybody waits for it
        except Exception as error:
            print(f"backend: stays torch f32, measuring failed: {error}".splitlines()[0], file=sys.stderr)
            with self._lock:
                self._network = self._plain
            return
        with self._lock:
            self._change_over(choice, network)

    def _change_over(self, choice: Choice, network: Network) -> None:
        self._network = network
        _tell(choice, "", self._remark)
        self._store.put_note(self._key, asdict(choice))
        self._turns = threading.Semaphore(network.parallel)
        self._plain = None  # a service keeps it for nothing, and it is as large as the weights

    def _measure(self, images: np.ndarray) -> tuple[Choice, Network]:
        """Take the fastest that agrees with torch in f32; where none may be taken, the fastest that is about as close as any."""
        started = time.perf_counter()
        plain: Network = _open(self._weights, self._settings, "torch", "f32")
        base, reference = _run(plain, images)
        nothing = Choice("torch", "f32", "nothing that agrees with it is faster")
        best = (base, nothing, plain) if ("torch", "f32") in self._candidates else None
        others: list[tuple[float, float, Choice, Network]] = []  # Dice and seconds of those that do not agree
        remarks, failed = [], None
        for backend, precision in self._candidates:
            if (backend, precision) == ("torch", "f32"):
                continue
            if best is not None and best[1] != nothing and time.perf_counter() - started > PATIENCE:
                break
            try:
                network = _open(self._weights, self._settings, backend, precision)
                seconds, outputs = _run(network, images)
            except (InputError, RuntimeError, MemoryError) as error:
                reason = next(iter(str(error).splitlines()), type(error).__name__)  # a lack of memory says nothing
                remarks.append(f"{backend} {precision} does not run ({reason})")
                failed = error
                continue
            dice = agreement(reference, outputs, self._weights)
            if dice < (INT8_AGREEMENT if (backend, precision) == INT8 else AGREEMENT):
                remarks.append(f"{backend} {precision} differs (Dice {dice:.4f}, {seconds * 1e3:.0f} ms)")
                reason = "none that may be taken gives the masks of torch f32, of the closest this is the fastest"
                others.append((dice, seconds, Choice(backend, precision, reason), network))
            elif best is None or seconds < best[0]:
                took = f"{seconds * 1e3:.0f} ms an image, torch f32 {base * 1e3:.0f}"
                same = "proven when it was exported" if (backend, precision) == INT8 else "same masks"
                best = seconds, Choice(backend, precision, f"{took}, {same} (Dice {dice:.4f})"), network
        found = best
        if found is None and others:
            # Closer by less than two that agree may differ is no closer: in bf16 all differ, by chance.
            near = max(dice for dice, *_ in others) - (1 - AGREEMENT)
            found = min((one[1:] for one in others if one[0] >= near), key=lambda one: one[0])
        if found is None:
            assert failed is not None
            raise failed
        choice = found[1]
        return Choice(choice.backend, choice.precision, "; ".join([choice.reason, *remarks])), found[2]


def agreement(reference: Outputs, outputs: Outputs, weights: WeightsFile) -> float:
    """Compare what two backends decide about the same images.

    Args:
        reference: of torch in f32.
        outputs: of the other one.
        weights: with the thresholds of the masks.

    Returns:
        The least Dice of a class, 0..1; 1 where at most ``SPECKS`` of the pixels differ; 0 when probabilities of whole
        images differ by more than ``LABELS``.
    """
    if reference.labels is not None and outputs.labels is not None:
        apart = label_probabilities(reference.labels.cpu()) - label_probabilities(outputs.labels.cpu())
        if not bool(abs(apart).max() <= LABELS):  # not a number is no agreement either
            return 0.0
    if reference.masks is None or outputs.masks is None:
        return 1.0
    mine, theirs = (weights.decision.decide(o.masks.cpu(), weights.spec.task) for o in (reference, outputs))  # type: ignore[union-attr]
    least = 1.0
    for a, b in zip(mine.transpose(0, 1), theirs.transpose(0, 1), strict=True):
        differ = int((a ^ b).sum())
        if differ > SPECKS * a.numel():
            least = min(least, 1 - differ / int(a.sum() + b.sum()))
    return least


def _open(weights: WeightsFile, settings: Settings, backend: str, precision: str) -> Network:
    compile = settings.compile and backend == "torch"
    return BACKENDS[backend](weights, Settings(settings.device, precision, settings.threads, compile))


def _run(network: Network, images: np.ndarray) -> tuple[float, Outputs]:
    """Return seconds an image, with as many calls at once as the network takes, and what it says about the images."""
    network(images[:1])  # what is only done once is not to count
    calls = max(network.parallel - 1, 1)  # of those that may run at once one is there to wait
    with ThreadPoolExecutor(calls) as threads:
        start = time.perf_counter()
        done = list(threads.map(network, [images] * calls))
        if done[0].masks is not None and done[0].masks.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return seconds / (calls * len(images)), done[0]


def _key(settings: Settings, candidates: Sequence[tuple[str, str]]) -> str:
    versions = [version(backend) for backend in sorted({backend for backend, _ in candidates})]
    machine = [processor(), os.cpu_count(), cpu_threads(settings.threads)]
    return json.dumps([candidates, versions, machine, settings.device, settings.compile])


def _int8_objection(weights: WeightsFile, store: Store) -> str | None:
    """Return why 8-bit integers are not tried: in words, "" where they may be, None where there are none."""
    try:
        found = find_int8(weights, store)
    except InputError as error:
        return f"openvino int8 is left out ({error})"
    if found is None:
        return None
    return f"openvino int8 is left out ({found.objection})" if found.objection else ""


def _tell(choice: Choice, why: str = "", remark: str = "") -> None:
    reason = "; ".join(filter(None, [choice.reason, remark]))
    print(f"backend: {choice.backend} {choice.precision}{why}: {reason}", file=sys.stderr)
