"""A sink of OpenTelemetry metrics: OTLP over HTTP on loopback, with the variables of docker-compose.yml."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


@dataclass
class Sink:
    """A sink's URL and the bodies that it was sent."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return the variables that make Airflow send its metrics here."""
        return {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{self.url}/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        }

    def values(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return the newest value of every series of a metric, by its attributes; of a counter the sum over processes."""
        found: dict[frozenset[tuple[str, str]], float] = {}
        for body in list(self.bodies):
            request = ExportMetricsServiceRequest.FromString(body)
            for metric in (m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics):
                if metric.name != name:
                    continue
                counter = metric.HasField("sum")
                for point in (metric.sum if counter else metric.gauge).data_points:
                    labels = frozenset((each.key, each.value.string_value) for each in point.attributes)
                    value = point.as_double if point.HasField("as_double") else float(point.as_int)
                    found[labels] = found.get(labels, 0) + value if counter else value
        return found


@contextmanager
def collecting() -> Iterator[Sink]:
    """Give a sink that answers until the block ends."""
    sink = Sink("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/metrics":
                sink.bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        sink.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield sink
        server.shutdown()
