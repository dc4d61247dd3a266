"""From the flags of ``Watch_line.py`` to a service that runs until it is told to stop."""

import contextlib
import dataclasses
import hashlib
import json
import logging
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from config import ServeConfig, WatchConfig
from utils.errors import InputError
from utils.files import make_folder
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.looking import looking
from utils.inspection.inspector import Inspector, as_prediction
from utils.line.coil import Coils, read_line_plan
from utils.line.drift import Drift
from utils.line.forwarding import Forwarder
from utils.line.orders import Order, OrderError
from utils.line.pictures import Waiting
from utils.line.rules import read_rules
from utils.line.service import Service, Settings
from utils.line.sinks.registry import sink_of
from utils.line.sinks.sink import Sink, SinkOptions
from utils.line.sources.push import PushSource
from utils.line.sources.registry import source_of
from utils.line.sources.source import Source, SourceOptions
from utils.line.spool import Limits, Spool
from utils.line.state import LineState
from utils.settings import nearest
from utils.web.line.serving import LineServer, parse_address
from utils.weights.appearance import PROPERTIES
from utils.weights.system_file import SystemFile
from utils.weights.torch_file import digest

PICTURES = "pictures"  # in the folder of -spool
CLOSING = 5.0  # seconds for what is still in the network at the end; its frames have their events by then

log = logging.getLogger("steel.line")


@dataclass(frozen=True)
class WatchResult:
    """What the service did until it ended.

    Attributes:
        state: at its end.
        seconds: that it ran.
    """

    state: LineState
    seconds: float

    def text(self) -> str:
        """Format it for a terminal."""
        state = self.state
        lines = [
            f"{state.frames} frames in {self.seconds:.0f} s: {state.ok} OK, {state.ng} NG,"
            f" {state.no_verdict} without verdict ({state.shed} shed, {state.refused} refused), {state.lost} lost"
        ]
        for sink in state.sinks:
            waits = f", {sink.depth} wait in the spool" if sink.depth else ""
            lost = f", {sink.dropped} dropped" if sink.dropped else ""
            lines.append(f"{sink.name}: {sink.sent} events sent{waits}{lost}{f'; {sink.error}' if sink.error else ''}")
        return "\n".join(lines)


def watch_line(config: WatchConfig) -> WatchResult:
    """Watch a line until SIGTERM, Ctrl-C, or the end of the last source.

    Args:
        config: the flags.

    Returns:
        What was done.

    Raises:
        InputError: flags, weights, folders or the port are at fault; nothing was watched.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on damaged images name neither file nor remedy
    address = parse_address(config.http) if config.http else None
    if any(url.startswith("push:") for url in config.line_source) and address is None:
        raise InputError("-source push://: needs -http HOST:PORT, which frames are sent to")
    stopped = threading.Event()
    with contextlib.ExitStack() as held, _signals(stopped):
        chosen = choose_weights(as_prediction(_as_serving(config)))
        if chosen.assembled:
            raise InputError(
                "-weights_dir: several networks have no sha256 for the events; write a system file of them"
            )
        model = _digest_of(chosen)  # at once: somebody may replace the file while it runs
        rules = read_rules(config.rules, chosen.class_names or chosen.label_names)
        plan = read_line_plan(config.coil, chosen.class_names, chosen.path.name)
        service: list[Service] = []
        options = SinkOptions(
            line=config.line,
            pictures=config.spool / PICTURES,
            state=lambda: service[0].state if service else LineState(),
            order=lambda order: service[0].order(order) if service else None,
            classes=chosen.class_names or chosen.label_names,
        )
        make_folder(config.spool, "-spool")
        sinks = _sinks(config.sinks or (), options)
        limits = Limits(config.spool_days * 86_400, int(config.spool_gb * 1e9))
        spool = held.enter_context(Spool(config.spool, [sink.name for sink in sinks], limits))
        sources = _sources(config, spool)
        inspector = Inspector.open(_as_serving(config), chosen=chosen)
        held.callback(inspector.close, CLOSING)
        inspector.warm_up()
        pictures = Waiting(options.pictures) if any(one.startswith("images:") for one in config.sinks or ()) else None
        coils = Coils(spool, plan, sources[0].name)
        settings = Settings(
            shed=config.shed,
            queue=config.queue,
            late=config.late_ms / 1e3,
            stale=config.stale_s,
            drain=config.drain_s,
            model=model,
            thresholds=_thresholds_of(chosen),
        )
        service.append(Service(inspector, spool, rules, settings, coils, _drift(config, chosen), pictures))
        watching = service[0]
        for source in sources:
            watching.add_source(source)
        for sink in sinks:
            watching.add_forwarder(Forwarder(spool, sink, options.state, options.heartbeat))
        if address is not None:
            push = next((source for source in sources if isinstance(source, PushSource)), None)
            server = LineServer(address, watching, push, config.line, config.token, config.insecure, config.max_mb)
            held.callback(server.close)
            server.start()
            print(f"{server.address}  {chosen.path.name}, {inspector.about.backend}", flush=True)
        began = time.monotonic()
        # Before the first frame, which else would belong to no coil.
        if config.coil_id is not None and config.coil_id != coils.now.coil_id:
            watching.order(_order(config.coil_id))
        watching.start()
        print(f"watching {', '.join(source.name for source in sources)}", flush=True)
        while not stopped.wait(0.2):
            if all(source.ends for source in sources) and watching.wait(0):
                break
        watching.stop()
        return WatchResult(watching.state, time.monotonic() - began)


def _sinks(urls: Sequence[str], options: SinkOptions) -> list[Sink]:
    sinks = [sink_of(url, options) for url in urls]
    names = [sink.name for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"-sinks {name}: named twice; each place of events has one address")
    return sinks


def _sources(config: WatchConfig, spool: Spool) -> list[Source]:
    options = SourceOptions(spool.knows, config.max_pixels, config.max_mb * 10**6)
    sources = [source_of(url, options) for url in config.line_source]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"-source {name}: named twice; its frames would be inspected once all the same")
    return sources


def _order(coil_id: str) -> Order:
    try:
        return Order("coil", coil_id)
    except OrderError as error:
        raise InputError(f"-coil_id: {error}") from None


def _drift(config: WatchConfig, chosen: Chosen) -> Drift | None:
    """Return what watches the look of the images; None where nobody wants it, or the weights do not know."""
    for name in config.drift_off or ():
        if name not in PROPERTIES:
            raise InputError(f"-drift_off {name}: no such property{nearest(name, PROPERTIES)}")
    if not config.drift:
        return None
    appearance = chosen.weights.appearance
    if appearance is None:
        log.warning(
            "drift: %s does not say how its images look, so nothing is watched; Evaluate.py -appearance adds it",
            chosen.path.name,
        )
        return None
    off = config.drift_off or ()
    look = None if "features" in off else looking(chosen.weights)
    return Drift(appearance, look, chosen.weights.spec.task == "multiclass", limit=config.drift_limit, off=off)


def _as_serving(config: WatchConfig) -> ServeConfig:
    """Return the flags that choose and run weights, which ``Serve.py`` has by the same names."""
    names = {field.name for field in dataclasses.fields(ServeConfig)} - {"dir", "coil", "save", "max_mb", "token"}
    shared = {name: value for name, value in vars(config).items() if name in names}
    # Frames wait before it, in the order that is shed by; in it as many as keep it busy.
    return ServeConfig(**{**shared, "queue": max(8, 4 * config.batch_size)})


def _digest_of(chosen: Chosen) -> str:
    """Return the sha256 of the weights; of a system that of its file and all of its members."""
    own = digest(chosen.path)
    if not isinstance(chosen.weights, SystemFile):
        return own
    members = [digest(member.source) for member in chosen.weights.members.values() if member.source is not None]
    return hashlib.sha256("\n".join([own, *members]).encode()).hexdigest()


def _thresholds_of(chosen: Chosen) -> str:
    """Return the sha256 of what decides: thresholds, areas and labels, as JSON."""
    told = {**chosen.decision.to_dict(), "label_thresholds": list(chosen.label_thresholds)}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


@contextlib.contextmanager
def _signals(stopped: threading.Event) -> Iterator[None]:
    """Let SIGTERM, Ctrl-C and a terminal that closes (SIGHUP) end the watching in order.

    A second one ends it at once, and the spool keeps what waits. A SIGHUP that nohup has switched off stays off.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM, signal.SIGINT]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def stop(number: int, frame: object) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt("events that wait are in the spool; start again to send them")
        stopped.set()

    before = {number: signal.signal(number, stop) for number in numbers}
    Image.init()  # before threads open images at once
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
