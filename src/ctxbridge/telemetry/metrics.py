"""The instruments, made once; a provider that is set later takes them over.

What happens most often is counted in plain numbers, which are read when somebody exports: see
`Tally`. No metric tells a conversation, a contact or a tenant.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from ctxbridge.telemetry import names

_SECONDS = (
    25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3,
    1.0,
)  # fmt: skip
_LONG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_BYTES = (32, 64, 128, 256, 512, 1024, 4096, 16384)

meter = get_meter(names.SCOPE, names.VERSION, schema_url=names.SCHEMA_URL)


class Tally(dict[tuple[str | None, ...], int]):
    """Counts by the values of a few attributes; what is `None` is not told.

    To count is one step in a dictionary.
    """

    __slots__ = ("_names",)

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = names

    def count(self, *values: str | None) -> None:
        """One more of these."""
        self[values] = self.get(values, 0) + 1

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """What has been counted so far, for whoever exports, in whichever thread."""
        for values, number in self.copy().items():
            told = zip(self._names, values, strict=True)
            yield Observation(number, {name: value for name, value in told if value is not None})


def _histogram(name: str, bounds: tuple[float, ...], what: str) -> Callable[..., None]:
    made = meter.create_histogram(
        name, names.METRICS[name], what, explicit_bucket_boundaries_advisory=bounds
    )
    return _safely(made.record)


def _counter(name: str, what: str) -> Callable[..., None]:
    return _safely(meter.create_counter(name, names.METRICS[name], what).add)


def _safely(record: Callable[..., None]) -> Callable[..., None]:
    """The same, whatever a foreign provider raises: telemetry fails nobody's turn."""

    def recorded(amount: float, attributes: Mapping[str, Any]) -> None:
        try:  # noqa: SIM105 - `suppress` costs as much as all the rest
            record(amount, attributes)
        except Exception:  # noqa: BLE001, S110 - there is nobody to tell
            pass

    return recorded


def failed(error: type[BaseException] | None) -> dict[str, str]:
    """The attribute that names the type of an error; none for none."""
    return {names.ERROR_TYPE: error.__name__} if error is not None else {}


loads = Tally(names.CHANNEL, names.TIER)
decisions = Tally(
    names.GUARD_STAGE, names.GUARD_NAME, names.GUARD_ACTION, names.GUARD_ENFORCED,
    names.GUARD_MODE, names.GUARD_STATUS, names.AGENT_NAME, names.AGENT_VERSION,
)  # fmt: skip
permits = Tally(
    names.CHANNEL, names.PERMIT_ACTION, names.PERMIT_CODE, names.AGENT_NAME, names.AGENT_VERSION
)  # fmt: skip
handoffs = Tally(names.OWNER, names.AGENT_NAME, names.AGENT_VERSION)
pauses = Tally(names.AGENT_NAME, names.AGENT_VERSION)

record_load = _histogram(names.LOAD_DURATION, _SECONDS, "A look-up that went to the store.")
record_commit = _histogram(names.COMMIT_DURATION, _SECONDS, "One write of a turn.")
record_guard = _histogram(names.GUARD_DURATION, _SECONDS, "A guard that was waited for.")
record_turn = _histogram(names.TURN_LATENCY, _LONG_SECONDS, "From the message to its answer.")
record_held = _histogram(names.STREAM_HELD, _BYTES, "What of a draft was not shown yet.")
count_conflict = _counter(names.COMMIT_CONFLICTS, "Writes that the gate refused.")
count_failure = _counter(names.GUARD_FAILURES, "Guards that raised, hung or answered nonsense.")

for _make, _name, _tally, _what in (
    (meter.create_observable_counter, names.LOAD_COUNT, loads, "Look-ups, by where they ended."),
    (meter.create_observable_counter, names.GUARD_DECISIONS, decisions, "Verdicts of guards."),
    (meter.create_observable_counter, names.PERMIT_RESULTS, permits, "Answers of the send gate."),
    (meter.create_observable_counter, names.HANDOFF_COUNT, handoffs, "Floors that changed hands."),
    (meter.create_observable_gauge, names.AGENT_PAUSED, pauses, "Agents that may not speak."),
):
    _make(_name, [_tally.observe], names.METRICS[_name], _what)
