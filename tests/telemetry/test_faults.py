"""Providers that raise or hang hold up nobody's turn."""

import threading
import time

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import Sampler

from ctxbridge.telemetry import metrics as ours

from .exchanges import everything, one_turn, open_bridge


class Raising(SpanExporter):
    asked = 0

    def export(self, spans):
        self.asked += 1
        raise RuntimeError("the collector is gone")

    def shutdown(self):
        pass


class Hanging(SpanExporter):
    """Does not come back before it is let go."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()

    def export(self, spans):
        self.asked.set()
        self.go.wait(20)
        return SpanExportResult.SUCCESS

    def shutdown(self):
        self.go.set()


class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise RuntimeError("on_start")

    def on_end(self, span):
        raise RuntimeError("on_end")


class BrokenSampler(Sampler):
    def should_sample(self, *arguments, **options):
        raise RuntimeError("sampler")

    def get_description(self):
        return "Broken"


@pytest.fixture
def processed(provider, exporter):
    """Adds a processor for the length of a test."""
    processors = provider._active_span_processor
    before = processors._span_processors

    def add(processor):
        processors._span_processors = (*before, processor)

    yield add
    processors._span_processors = before


async def test_an_exporter_that_raises_fails_no_turn(processed, caplog):
    raising = Raising()
    processed(SimpleSpanProcessor(raising))
    pigeon = await everything()
    assert raising.asked > 5
    assert len(pigeon.texts) >= 3


async def test_a_processor_that_raises_fails_no_turn(processed):
    processed(Broken())
    pigeon = await everything()
    assert len(pigeon.texts) >= 3
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_sampler_that_raises_fails_no_turn(sampled, exporter):
    sampled(BrokenSampler())
    pigeon = await everything()
    assert len(pigeon.texts) >= 3
    assert exporter.get_finished_spans() == ()


async def test_an_exporter_that_hangs_holds_up_no_turn(processed):
    hanging = Hanging()
    batch = BatchSpanProcessor(hanging, max_queue_size=64, max_export_batch_size=8,
                               schedule_delay_millis=10)  # fmt: skip
    processed(batch)
    try:
        async with open_bridge() as bridge:
            await one_turn(bridge)
            while not hanging.asked.wait(1):
                pass
            began = time.perf_counter()
            for _ in range(40):  # more spans than the queue holds
                await one_turn(bridge)
            took = time.perf_counter() - began
        assert not hanging.go.is_set()
        assert took < 15, "40 turns"
    finally:
        hanging.go.set()
        batch.shutdown()


async def test_one_that_exports_in_the_turn_would_hold_it_up(processed):
    """The broken variant: what is exported at once is waited for."""
    hanging = Hanging()
    threading.Timer(0.3, hanging.go.set).start()
    processed(SimpleSpanProcessor(hanging))
    began = time.perf_counter()
    async with open_bridge() as bridge:
        await one_turn(bridge)
    assert time.perf_counter() - began > 0.25


class HangingMetrics(MetricExporter):
    def __init__(self):
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.asked.set()
        self.go.wait(20)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        self.go.set()


async def test_a_reader_that_hangs_holds_up_no_turn():
    hanging = HangingMetrics()
    reader = PeriodicExportingMetricReader(hanging, export_interval_millis=10)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    tally = provider.get_meter("ctxbridge").create_observable_counter("x", [ours.decisions.observe])
    assert tally
    try:
        async with open_bridge() as bridge:
            await one_turn(bridge)
            while not hanging.asked.wait(1):
                pass
            began = time.perf_counter()
            await one_turn(bridge)
            assert time.perf_counter() - began < 15
        assert not hanging.go.is_set()
    finally:
        hanging.go.set()
        provider.shutdown()


def test_an_instrument_that_raises_raises_no_further():
    def broken(amount, attributes):
        raise RuntimeError

    ours._safely(broken)(1, {})


def test_a_tally_is_read_while_it_is_counted():
    """Whoever exports does so in a thread of their own."""
    tally, ends = ours.Tally("a"), threading.Event()

    def count():
        number = 0
        while not ends.is_set():
            number += 1
            tally.count(str(number % 500))

    counting = threading.Thread(target=count)
    counting.start()
    try:
        for _ in range(300):
            assert all(o.value > 0 for o in tally.observe(None))
    finally:
        ends.set()
        counting.join()


def test_the_api_still_keeps_its_provider_where_it_is_looked_for():
    """Without, all is asked of the API at every step: right, and slower."""
    from ctxbridge.telemetry import is_set_up, spans

    assert "_TRACER_PROVIDER" in vars(trace)
    assert is_set_up() is (trace._TRACER_PROVIDER is not None)
    assert spans._global is vars(trace)
