"""What the service counts about itself, as Prometheus reads it."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters in a registry of their own. No names of people and no keys are in them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = {"registry": self._registry}
        self._requests = Counter("angulus_requests", "Requests.", ["operation", "status"], **registry)
        self._seconds = Histogram(
            "angulus_request_seconds", "Seconds until the answer.", ["operation"], buckets=SECONDS, **registry
        )
        self._batches = Histogram("angulus_batch_size", "Crops in a batch.", buckets=SIZES, **registry)
        self._decisions = Counter("angulus_decisions", "Decisions.", ["operation", "decision"], **registry)

    def follow(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A gauge that is asked whenever the metrics are read."""
        Gauge(f"angulus_{name}", about, registry=self._registry).set_function(value)

    def finished(self, operation: str, status: int, seconds: float) -> None:
        """A request has ended."""
        self._requests.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def batch(self, size: int) -> None:
        """A batch went off."""
        self._batches.observe(size)

    def decided(self, operation: str, decision: str) -> None:
        """A decision was made."""
        self._decisions.labels(operation, decision).inc()

    def text(self) -> str:
        """All of it in Prometheus' text form."""
        return generate_latest(self._registry).decode()
