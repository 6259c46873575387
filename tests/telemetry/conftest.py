"""One tracer and one meter provider for the process, which keep what they are given in memory."""

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from ctxbridge import Bridge
from ctxbridge.telemetry import metrics as ours
from ctxbridge.telemetry.wishes import Wishes, wishes


class Replaceable(Sampler):
    """Asks whichever sampler a test has put in."""

    def __init__(self):
        self.inner = ALWAYS_ON

    def should_sample(self, *arguments, **options):
        return self.inner.should_sample(*arguments, **options)

    def get_description(self):
        return "Replaceable"


@pytest.fixture(scope="session")
def provider():
    """OpenTelemetry takes a provider once in a process."""
    provider = TracerProvider(sampler=Replaceable())
    trace.set_tracer_provider(provider)
    return provider


@pytest.fixture(scope="session")
def _exporter(provider):
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def exporter(_exporter):
    _exporter.clear()
    return _exporter


@pytest.fixture
def sampled(provider):
    """Puts in a sampler for the length of a test."""

    def put(sampler):
        provider.sampler.inner = sampler

    yield put
    provider.sampler.inner = ALWAYS_ON


@pytest.fixture(scope="session")
def _reader():
    from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter

    delta = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)
    reader = InMemoryMetricReader(preferred_temporality=delta)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return reader


@pytest.fixture
def measured(_reader):
    """What was measured since the test began: name to (unit, kind, points)."""
    ours.pauses.clear()
    _reader.get_metrics_data()

    def read():
        data = _reader.get_metrics_data()
        found = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                if scope.scope.name == "ctxbridge":
                    found |= {m.name: m for m in scope.metrics}
        return found

    return read


@pytest.fixture
async def bridge():
    async with Bridge("memory://", tenant="acme") as bridge:
        yield bridge


@pytest.fixture(autouse=True)
def _wishes():
    """What a test has opted in to ends with it."""
    yield
    fresh = Wishes({})
    wishes.genai = fresh.genai
    wishes.capture("NO_CONTENT")
