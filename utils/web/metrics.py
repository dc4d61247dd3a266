"""What Prometheus reads at ``/metrics``."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# A path that somebody makes up must not become a time series of its own.
ROUTES = frozenset(
    {"/api/v1/inspect", "/api/v1/model", "/api/v1/weights", "/api/v1/openapi.json", "/healthz", "/readyz", "/metrics"}
)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("steel_requests", "Requests answered", ("route", "status"), registry=self.registry)
        self.seconds = Histogram(
            "steel_request_seconds",
            "Head of a request to its answer",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.images = Counter("steel_images", "Images by verdict or refusal", ("verdict",), registry=self.registry)
        self.defects = Counter("steel_defects", "Defects found", ("name",), registry=self.registry)
        self.image_seconds = Histogram(
            "steel_image_seconds", "Acceptance of an image to its result", buckets=SECONDS, registry=self.registry
        )
        self.batches = Histogram(
            "steel_batch_images", "Images of a batch", buckets=(1, 2, 4, 8, 16, 32), registry=self.registry
        )
        self.ready = Gauge("steel_ready", "1 when images are inspected, 0 before and after", registry=self.registry)
        self._inside = Gauge("steel_images_inside", "Images accepted and not yet answered", registry=self.registry)
        self._room = Gauge("steel_images_room", "Images that may be inside", registry=self.registry)
        self._loaded = Info("steel_weights", "What is loaded", registry=self.registry)

    def watch(self, inside: Callable[[], int], room: int) -> None:
        """Show how full the queue is."""
        self._inside.set_function(lambda: float(inside()))
        self._room.set(room)

    def tell_loaded(self, file: str, backend: str) -> None:
        """Show what is loaded."""
        self._loaded.info({"file": file, "backend": backend})

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        route = path if path in ROUTES else "api" if path.startswith("/api/") else "page"
        route = "desk" if path.startswith("/desk/") else route
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Write all of it as Prometheus reads it."""
        return generate_latest(self.registry)
