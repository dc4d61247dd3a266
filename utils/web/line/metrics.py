"""What Prometheus reads of a line at ``/metrics``."""

from collections.abc import Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from utils.line.service import Service
from utils.line.state import CONDITIONS

_COUNTERS = {
    "frames": "Frames that came",
    "shed": "Frames that were not inspected because too many came",
    "refused": "Frames that could not be decoded or judged",
    "lost": "Frames that a camera sent and that did not come whole",
    "resized": "Frames of another size than the one before of the same camera",
    "unrecorded": "Frames without an event, since the disk took none",
    "events": "Events that went into the spool",
    "pictures_lost": "Pictures of NG frames that the disk did not take, or that were too many",
}


class LineCollector(Collector):
    """Reads the state of the service whenever somebody asks."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Any]:
        """Give all figures."""
        service = self._service
        state = service.state
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"steel_line_{name}", text, value=getattr(state, name))
        verdicts = CounterMetricFamily("steel_line_verdicts", "Frames by verdict", labels=["verdict"])
        for name in ("ok", "ng", "no_verdict"):
            verdicts.add_metric([name.upper()], getattr(state, name))
        yield verdicts
        defects = CounterMetricFamily("steel_line_defects", "Defects found, by class", labels=["class"])
        for name, number in dict(service.meter.defects).items():
            defects.add_metric([name], number)
        yield defects
        conditions = GaugeMetricFamily("steel_line_condition", "1 for how the service is now", labels=["condition"])
        for name in CONDITIONS:
            conditions.add_metric([name], float(state.condition == name))
        yield conditions
        yield GaugeMetricFamily(
            "steel_line_healthy", "1 when a verdict may be believed now", value=float(state.healthy)
        )
        yield GaugeMetricFamily("steel_line_frames_per_second", "Frames a second, mean of 10 s", value=state.rate)
        yield GaugeMetricFamily("steel_line_waiting", "Frames that wait before the network", value=state.waiting)
        yield GaugeMetricFamily("steel_line_alarms", "Alarms of drift that hold now", value=len(state.alarms))
        if state.last_frame_s is not None:
            yield GaugeMetricFamily("steel_line_last_frame_seconds", "Since the last frame", value=state.last_frame_s)
        latency = GaugeMetricFamily(
            "steel_line_latency_seconds", "Complete frame to spool, the last 1,000 frames", labels=["quantile"]
        )
        for quantile, value in (("0.5", state.p50_ms), ("0.99", state.p99_ms)):
            if value is not None:
                latency.add_metric([quantile], value / 1e3)
        yield latency
        drift = GaugeMetricFamily(
            "steel_line_drift", "How far the last images are from those learnt, standard errors", labels=["property"]
        )
        for name, score in service.drift_scores.items():
            drift.add_metric([name], score)
        yield drift
        depth = GaugeMetricFamily("steel_line_sink_depth", "Events that wait for a sink", labels=["sink"])
        fine = GaugeMetricFamily("steel_line_sink_ok", "1 when a sink takes events", labels=["sink"])
        sent = CounterMetricFamily("steel_line_sink_sent", "Events that a sink took", labels=["sink"])
        dropped = CounterMetricFamily(
            "steel_line_sink_dropped", "Events that the bounds of the spool took from a sink", labels=["sink"]
        )
        malformed = CounterMetricFamily(
            "steel_line_sink_malformed", "Events of the spool that could not be read for a sink", labels=["sink"]
        )
        for sink in state.sinks:
            malformed.add_metric([sink.name], sink.malformed)
            depth.add_metric([sink.name], sink.depth)
            fine.add_metric([sink.name], float(sink.ok))
            sent.add_metric([sink.name], sink.sent)
            dropped.add_metric([sink.name], sink.dropped)
        yield from (depth, fine, sent, dropped, malformed)
