"""What a helpdesk asks for: a signed request for each step of a handoff."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ctxbridge.asgi.http import (
    FAILED,
    TOO_LARGE,
    Answer,
    Body,
    Buffers,
    Receive,
    Scope,
    Send,
    again,
    announced,
    not_allowed,
    over_limits,
    raw_request,
    respond,
)
from ctxbridge.asgi.limits import Limits
from ctxbridge.bridge import Bridge
from ctxbridge.bridge.telling import raised
from ctxbridge.channels.standard_webhooks import StandardWebhooks
from ctxbridge.errors import (
    ConfigurationError,
    CtxBridgeError,
    FloorTaken,
    PayloadError,
    UnknownContact,
    UsageError,
)
from ctxbridge.model import Handoff, RawRequest, RecordRead, RecordWrite

logger = logging.getLogger("ctxbridge")

JSON = "application/json"
MOST_BYTES = 256 * 1024
_SCOPE = "desk.done"
UNAUTHORIZED = Answer(401, b"unauthorized")
_STATUS: tuple[tuple[type[CtxBridgeError], int], ...] = (
    (UnknownContact, 404), (FloorTaken, 409), (UsageError, 422), (PayloadError, 422),
)  # fmt: skip


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request; what each of them means says the verb of `Handoffs` of that name."""

    do: Literal["show", "accept", "say", "pass", "release"]
    address: str
    by: str = ""
    epoch: int | None = None
    to: str = ""
    text: str = ""
    note: str = ""
    force: bool = False


class Objection(Struct, frozen=True, omit_defaults=True):
    """The body of an answer that is no 2xx. `floor` and `holder` say who has the floor (409)."""

    error: str
    detail: str = ""
    floor: str = ""
    holder: str = ""


class Desk:
    """The ASGI app that `desk` makes."""

    def __init__(self, bridge: Bridge[Any], secret: str | Sequence[str], limits: Limits) -> None:
        self._bridge = bridge
        self._webhooks = StandardWebhooks(secret, max_bytes=MOST_BYTES)
        self._limits = limits
        self._buffers = Buffers(limits.buffered_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. It has no life of its own: open the bridge beside it."""
        if scope["type"] != "http":
            raise UsageError("a desk speaks the ASGI protocol http alone")
        answer = await self._answer(scope, receive)
        if answer is not None:
            await respond(send, scope, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        if scope["method"] != "POST":
            return not_allowed(["POST"])
        if refused := over_limits(scope, self._limits.header_bytes):
            return refused
        if announced(scope) > MOST_BYTES:
            return TOO_LARGE
        with Body(receive, self._buffers, MOST_BYTES) as body:
            read = await body.read(self._limits.body_seconds)
            if not isinstance(read, bytes):
                return read
            request = raw_request(scope, read, "", self._bridge.clock.now())
        if self._webhooks.verify(request).status != "verified":
            return UNAUTHORIZED
        return await self._done(request)

    async def _done(self, request: RawRequest) -> Answer:
        try:
            asked = msgspec.json.decode(request.body, type=Asked)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return _said(400, Objection("malformed", "the body is not what can be asked for"))
        try:
            return _said(200, await self._do(asked, request.header("webhook-id") or ""))
        except CtxBridgeError as error:
            return _objected(error)
        except Exception as error:  # noqa: BLE001 - senders and guards are foreign code
            logger.error("a helpdesk's request failed: %s", raised(error))  # noqa: TRY400
            return FAILED

    async def _do(self, asked: Asked, id: str) -> object:
        """What was done: the handoff, or the package, or what became of a message."""
        floor, a = self._bridge.floor, asked
        if asked.do == "show":
            return await floor.package(a.address)
        if asked.do == "say":
            return await self._say(asked, id)
        if await self._was_done(id):
            return await floor.show(a.address)
        done = await self._step(asked)
        await self._note(id)
        return done

    async def _step(self, asked: Asked) -> Handoff:
        floor, a = self._bridge.floor, asked
        if asked.do == "accept":
            return await floor.accept(a.address, by=a.by, epoch=a.epoch)
        if asked.do == "pass":
            return await floor.pass_on(a.address, by=a.by, to=a.to, epoch=a.epoch)
        return await floor.release(a.address, by=a.by, note=a.note, epoch=a.epoch, force=a.force)

    async def _was_done(self, id: str) -> bool:
        """Whether a step was done for this request: repeated, it may mean a later stretch."""
        bridge = self._bridge
        read = RecordRead(bridge.tenant, _SCOPE, id, bridge.clock.now())
        return await bridge.store.records(read) is not None

    async def _note(self, id: str) -> None:
        """It was done, which a repetition is told for as long as message ids are remembered."""
        bridge = self._bridge
        life = bridge.settings.remember_seconds
        now = bridge.clock.now()
        await bridge.store.records(RecordWrite(bridge.tenant, _SCOPE, id, now, b"1", None, life))

    async def _say(self, asked: Asked, id: str) -> object:
        floor, a = self._bridge.floor, asked
        # The same request again is the same message.
        written = await floor.say(a.address, a.text, by=a.by, key=f"desk:{id}")
        decision = written.message.decision
        return {
            "disposition": written.message.disposition,
            "code": decision.code if decision else "",
            "repeated": written.repeated,
            "deliveries": [one.status for one in written.deliveries],
        }


def desk(bridge: Bridge[Any], *, secret: str | Sequence[str], limits: Limits | None = None) -> Desk:
    """Take what a helpdesk asks for.

    ``app.mount("/desk", desk(bridge, secret="whsec_..."))``. Each request is a POST of JSON
    (`Asked`), signed by Standard Webhooks with `secret` (several while one is being replaced). It
    is answered with 200 and a `Handoff`, for ``show`` a `Package`, for ``say`` what became of the
    message. Else with an `Objection`: 400 for what cannot be read, 401 for a wrong signature or
    time, 404 for somebody unknown, 409 where somebody else has the floor, 422 for what cannot be,
    503 where the same request may be sent again. What is asked for is done once for each
    ``webhook-id``, but for a step behind which the process dies before it is noted; one that is
    asked for again is answered with how the floor stands.

    Whoever has the secret may speak for every colleague: keep it as one keeps a password.

    Raises `ConfigurationError` for a secret that is missing or none.
    """
    if not secret:
        raise ConfigurationError("a desk needs a secret: whsec_ and base64")
    return Desk(bridge, secret, limits or Limits())


def _said(status: int, told: object) -> Answer:
    return Answer(status, msgspec.json.encode(told), JSON)


def _objected(error: CtxBridgeError) -> Answer:
    name = type(error).__name__
    if isinstance(error, FloorTaken):
        return _said(409, Objection(name, str(error), error.floor, error.holder))
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return _said(status, Objection(name, str(error)))
    logger.warning("a helpdesk's request was not done: %s", name)
    return again(b"not done; try again later")
