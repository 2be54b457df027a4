"""Metrics of calls for OpenTelemetry: how long links take to open, why they end, and how late finals are.

Usage: ``python examples/opentelemetry_hook.py speech.wav``; it needs ``opentelemetry-sdk``. Here the figures are
printed at the end. In a service set the exporter that you have in place of ``InMemoryMetricReader``.
"""

import asyncio
import os
import sys

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from smallest_proto import FinalMetrics, LinkMetrics
from smallest_transports.asyncio import Client


class Telemetry:
    """What ``Client(on_metrics=…)`` calls: instruments of OpenTelemetry, which never block."""

    def __init__(self, meter: metrics.Meter) -> None:
        self.opening = meter.create_histogram("stt.link.opening", unit="s", description="from the attempt to open")
        self.links = meter.create_counter("stt.links", description="that have ended, by why")
        self.latency = meter.create_histogram("stt.final.latency", unit="s", description="from last sample to text")
        self.words = meter.create_counter("stt.words")

    def __call__(self, measured: LinkMetrics | FinalMetrics) -> None:
        if isinstance(measured, FinalMetrics):
            self.words.add(measured.words)
            if measured.latency is not None:
                self.latency.record(measured.latency)
            return
        self.links.add(1, {"why": "done" if measured.failure is None else measured.failure.kind.value})
        if measured.opening is not None:
            self.opening.record(measured.opening)


async def main(path: str) -> None:
    base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    telemetry = Telemetry(provider.get_meter("smallest-proto"))
    async with Client(api_key="any", base_url=base_url, on_metrics=telemetry) as client:
        async with client.transcribe_live(path) as events:
            async for _ in events:
                pass
    show(reader)
    provider.shutdown()


def show(reader: InMemoryMetricReader) -> None:
    data = reader.get_metrics_data()
    for scope in (scope for resource in data.resource_metrics for scope in resource.scope_metrics) if data else ():
        for metric in scope.metrics:
            for point in metric.data.data_points:
                labels = ", ".join(f"{name}={value}" for name, value in (point.attributes or {}).items())
                value = f"{point.sum:.3f} s in {point.count}" if hasattr(point, "count") else point.value
                print(f"{metric.name}\t{labels}\t{value}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
