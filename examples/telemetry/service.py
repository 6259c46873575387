"""A service that tells: traces and metrics by OTLP, a tenth of all conversations, each as a whole.

pip install "ctxbridge[otel-sdk]" opentelemetry-exporter-otlp; `setup()` before the first turn.
"""

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from ctxbridge.telemetry.sdk import ConversationSampler, ConversationSpanProcessor


def over_otlp() -> tuple[SpanProcessor, MetricReader]:
    """To the collector beside this file; what exports does so in threads of its own."""
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return BatchSpanProcessor(OTLPSpanExporter()), reader


def setup(spans: SpanProcessor, reader: MetricReader, ratio: float = 0.1) -> TracerProvider:
    """Tell of this process from now on."""
    provider = TracerProvider(sampler=ConversationSampler(ratio))
    provider.add_span_processor(ConversationSpanProcessor())
    provider.add_span_processor(spans)
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    return provider


if __name__ == "__main__":
    setup(*over_otlp())
