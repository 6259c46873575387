"""Draws one conversation over three channels as the linked traces that it was: a real run's spans.

python examples/telemetry/picture.py docs/telemetry.svg
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.guards import TextCheck, allow, defer, guard
from ctxbridge.model import Outgoing, Sent, Verdict
from ctxbridge.telemetry.sdk import ConversationSpanProcessor

SHOP = {"sms": Endpoint("sms", "+15550199999"), "email": Endpoint("email", "help@shop.example"),
        "chat": Endpoint("chat", "shop")}  # fmt: skip
ANN = {"sms": Address("sms", "+15550100001"), "email": Address("email", "ann@example.org"),
       "chat": Address("chat", "customer-7")}  # fmt: skip
SAID = (("sms", "Where is my order?"), ("email", "Can it go to work?"), ("chat", "Remind me."))
LATER_MS = 50

_COLOURS = {"SERVER": "#57606a", "CONSUMER": "#0a8ad0", "PRODUCER": "#d55e00", "CLIENT": "#c9679f",
            "INTERNAL": "#12a077"}  # fmt: skip
_LEFT, _WIDTH, _ROW, _HEAD, _GAP = 250, 520, 22, 34, 26
_TOTAL = 900
_TITLE = "One conversation over three channels, as linked traces"
_STYLE = """\
<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px } .trace { font-weight: 600 }
  .faint { fill: #57606a } .lane { fill: #8c959f; fill-opacity: .1 }
  .link { fill: none; stroke: #7a7fd6; stroke-width: 1.5 } .kind { fill: #7a7fd6; text-anchor: end }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .faint { fill: #8b949e } .kind { fill: #a9aef0 }
  }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 8 4 0 8z" fill="#7a7fd6"/></marker></defs>
"""


# --- the run --------------------------------------------------------------------------------------


class Provider:
    """Takes every message within some milliseconds."""

    repeatable, timeout_seconds, per_second = False, 5.0, 0.0

    def __init__(self, channel: str) -> None:
        self.channel = channel

    async def send(self, outgoing: Outgoing) -> Sent:
        """Take it."""
        del outgoing
        await asyncio.sleep(0.003)
        return Sent("sent", provider_id="P1")

    async def aclose(self) -> None:
        """Nothing is open."""


@guard("reply")
async def judge(check: TextCheck) -> Verdict:
    """Asks somebody."""
    del check
    await asyncio.sleep(0.002)
    return allow()


@guard("reply")
def later(check: TextCheck) -> Verdict:
    """Lets a reminder wait."""
    return defer(check.now + LATER_MS, "reminder") if "Reminder" in check.text else allow()


async def converse(store: str) -> None:
    """A text, a mail, a line in the chat; what the last one asks for leaves later."""
    model, web = trace.get_tracer("model"), trace.get_tracer("web")
    senders = [Provider(channel) for channel in SHOP]
    async with Bridge(store, tenant="shop", guards=[judge, later], senders=senders) as bridge:
        for channel in ("email", "chat"):
            await bridge.link(ANN["sms"], ANN[channel], evidence="crm:4711")
        for number, (channel, text) in enumerate(SAID):
            inbound = Inbound(channel, SHOP[channel], ANN[channel], f"M{number}", (Text(text),),
                              Assurance.CHANNEL)  # fmt: skip
            request = web.start_as_current_span(
                f"POST /hooks/{channel}", kind=trace.SpanKind.SERVER
            )
            with request:
                async with bridge.turn(inbound) as turn:
                    with model.start_as_current_span("chat gpt", kind=trace.SpanKind.CLIENT):
                        await asyncio.sleep(0.008)
                    turn.reply("Reminder: A-17" if channel == "chat" else "A-17 left today.")
        await asyncio.sleep(2 * LATER_MS / 1000)
        await bridge.dispatch()


def record() -> list[ReadableSpan]:
    """The spans of such a run."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(ConversationSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    asyncio.run(converse("memory://"))
    exporter.clear()  # what is done for the first time takes longer
    asyncio.run(converse("memory://"))
    return list(exporter.get_finished_spans())


# --- the picture ----------------------------------------------------------------------------------


@dataclass
class Placed:
    """A span and where it is drawn."""

    span: ReadableSpan
    depth: int
    x: float
    y: float
    width: float


def picture(spans: Sequence[ReadableSpan]) -> str:
    """All traces, one below the other, each over its own time, and the links between them."""
    traces: dict[int, list[ReadableSpan]] = {}
    for span in sorted(spans, key=lambda one: one.start_time or 0):
        traces.setdefault(_ids(span)[0], []).append(span)
    placed: dict[int, Placed] = {}
    parts, y = [_text(16, 26, _TITLE, "title")], 40.0
    for several in traces.values():
        y = _lane(several, y, parts, placed)
    parts += [_bar(one) for one in placed.values()]
    lane = 0
    for one in placed.values():
        for link in one.span.links:
            target = placed.get(link.context.span_id)
            if target is not None:
                kind = str((link.attributes or {}).get("ctxbridge.link", ""))
                parts.append(_link(one, target, kind, lane))
                lane += 1
    about = {str((s.attributes or {}).get("gen_ai.conversation.id")) for s in spans} - {"None"}
    known = ", ".join(f"{id[-8:]}" for id in sorted(about))
    parts.append(_text(16, y + 6, f"every coloured span: gen_ai.conversation.id …{known}", "faint"))
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_TOTAL} {y + 20:.0f}" '
        f'width="{_TOTAL}" role="img" aria-label="{_TITLE}">\n'
    )
    return opening + _STYLE + "".join(parts) + "</svg>\n"


def _ids(span: ReadableSpan) -> tuple[int, int]:
    spoken = span.get_span_context()
    assert spoken is not None
    return spoken.trace_id, spoken.span_id


def _lane(
    spans: Sequence[ReadableSpan], y: float, parts: list[str], placed: dict[int, Placed]
) -> float:
    begins = min(s.start_time or 0 for s in spans)
    ends = max(s.end_time or 0 for s in spans)
    height = _HEAD + len(spans) * _ROW
    parts.append(
        f'<rect class="lane" x="8" y="{y:.0f}" width="{_TOTAL - 16}" height="{height}" rx="6"/>\n'
    )
    told = f"trace {_ids(spans[0])[0]:032x}"[:14] + f"…  {(ends - begins) / 1e6:.1f} ms"
    parts.append(_text(16, y + 18, told, "trace"))
    for row, span in enumerate(_in_order(spans)):
        depth = _depth(span, spans)
        scale = _WIDTH / max(ends - begins, 1)
        placed[_ids(span)[1]] = Placed(
            span, depth, _LEFT + ((span.start_time or 0) - begins) * scale,
            y + _HEAD - 8 + row * _ROW,
            max(((span.end_time or 0) - (span.start_time or 0)) * scale, 3.0),
        )  # fmt: skip
    return y + height + _GAP / 2


def _in_order(spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    """Each parent before its children, these by their beginning."""
    known = {_ids(span)[1] for span in spans}
    below: dict[int, list[ReadableSpan]] = {}
    for span in spans:
        above = span.parent.span_id if span.parent and span.parent.span_id in known else 0
        below.setdefault(above, []).append(span)

    def walk(id: int) -> list[ReadableSpan]:
        return [s for child in below.get(id, ()) for s in (child, *walk(_ids(child)[1]))]

    return walk(0)


def _depth(span: ReadableSpan, spans: Sequence[ReadableSpan]) -> int:
    by_id = {_ids(one)[1]: one for one in spans}
    depth = 0
    while span.parent is not None and span.parent.span_id in by_id:
        span, depth = by_id[span.parent.span_id], depth + 1
    return depth


def _bar(one: Placed) -> str:
    span = one.span
    colour = _COLOURS[span.kind.name]
    took = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    after = min(one.x + one.width + 6, _TOTAL - 66)
    return (
        _text(24 + 14 * one.depth, one.y + 14, span.name)
        + f'<rect x="{one.x:.1f}" y="{one.y + 4:.0f}" width="{one.width:.1f}" height="13" rx="3" '
        f'fill="{colour}"/>\n' + _text(after, one.y + 14, f"{took:.2f} ms", "faint")
    )


def _link(one: Placed, target: Placed, kind: str, lane: int) -> str:
    x, out = _LEFT - 6, 18 + 8 * lane
    start, end = one.y + 10, target.y + 10
    path = f"M{x} {start:.0f} C{x - out} {start:.0f} {x - out} {end:.0f} {x} {end:.0f}"
    return f'<path class="link" marker-end="url(#tip)" d="{path}"/>\n' + _text(
        x - out, start + 4, kind, "kind"
    )


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    styled = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{styled}>{escape(words)}</text>\n'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(record()), encoding="utf-8")
