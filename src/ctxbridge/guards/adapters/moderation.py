"""A judge that is asked by HTTP: OpenAI's moderation, whatever speaks like it, or any other.

Nothing that the other side answers is believed unless it is exactly what was asked for: a status
other than 200, a redirect, a body that is too large, breaks off or has another shape is an error of
the guard, and `on_error` says what is enforced then.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Unpack
from urllib.parse import urlsplit

import anyio
import msgspec
from anyio.lowlevel import RunVar
from msgspec import Meta, Struct, structs

from ctxbridge.errors import ConfigurationError, Malformed, PayloadError
from ctxbridge.guards.adapters.extras import AdapterOptions, load
from ctxbridge.guards.adapters.objection import Objection, objection, require
from ctxbridge.guards.guard import DEADLINES, FunctionGuard, TextCheck, allow, guard
from ctxbridge.model import Stage, Verdict

if TYPE_CHECKING:
    import httpx

Ask = Callable[[str], Any]
"""Makes the body of a request (what JSON can hold) of a text."""
Read = Callable[[Any], Verdict]
"""Makes a verdict of what the JSON of an answer holds."""
Key = str | Callable[[], str] | None
"""A key, or where to get it before each request, so that it can be changed."""

MAX_ANSWER_BYTES = 64 * 1024
LONGEST_WAIT_SECONDS = max(DEADLINES.values())
"""When a request is given up that nobody else gives up: the pipeline does, at its deadline."""
_CATEGORY = re.compile(r"[a-z0-9_/.\-]{1,48}")
_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Score = Annotated[float, Meta(ge=0, le=1)]


class Moderated(Struct):
    """One result as OpenAI's moderation gives it."""

    flagged: bool
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, Score | None] = {}


class _Answer(Struct):
    results: Annotated[list[Moderated], Meta(min_length=1, max_length=1)]


class ModerationGuard(FunctionGuard, frozen=True):
    """The guard that `moderation` makes."""

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the guard opens new ones if asked."""
        if isinstance(self.check, _Judge):
            await self.check.aclose()


def moderation(
    url: str,
    *,
    model: str | None = None,
    api_key: Key = None,
    categories: Collection[str] | None = None,
    threshold: float | Mapping[str, float] | None = None,
    action: Objection = "block",
    say: str | None = None,
    to: str = "moderation",
    ask: Ask | None = None,
    read: Read | None = None,
    stages: Sequence[Stage] = ("reply",),
    **options: Unpack[AdapterOptions],
) -> ModerationGuard:
    """A judge behind `url`; needs the extra ``moderation``.

    It is sent ``{"model": model, "input": text}`` (without a model, the input alone) by POST, with
    `api_key` as bearer, and answers as OpenAI's moderation does, with one of ``results`` that has
    ``flagged``, ``categories`` (by name, true or false) and ``category_scores`` (by name, 0 to 1).
    The text is objected to

    - without more, where it is flagged or a category is;
    - with `categories`, where one of these is;
    - with a `threshold`, from 0 to 1, where the score of a category, of `categories` if given,
      reaches it, whatever is flagged; it may be a threshold for each category by name.

    A category that is asked for and not answered is an error, since it would never be found. Then
    `action` is enforced with the code ``moderation.<category>``; `say` is what the customer is
    told, `to` the queue of ``escalate``.

    `ask` and `read` fit any other judge: what it is sent, and the verdict on what it answers (both
    as JSON holds it). A `read` decides alone: with it `categories` and `threshold` are refused, and
    `action`, `say` and `to` mean nothing. What the two raise is an error of the guard, as is a
    verdict that modifies.

    Answers of more than 64 KiB are refused, redirects not followed. `deadline_seconds` is by
    default that of the channel, 0.3 s on chat. Connections are kept for the next text, one pool for
    each event loop, opened by its first text; the bridge closes no guard, so before a loop ends
    call `aclose()` of the guard in it, else its sockets stay open until they are collected.

    The key is in no error and in no `repr`. Raises `ConfigurationError` for settings that make no
    sense together, and where httpx is missing.
    """
    reader = _Reader(categories, threshold, action, say, to)
    if read is not None and (categories is not None or threshold is not None):
        raise ConfigurationError("a judge with a read of its own has no categories or threshold")
    seconds = options.get("deadline_seconds") or LONGEST_WAIT_SECONDS
    judge = _Judge(_address(url), api_key, ask or _asking(model), read or reader, seconds)
    taken: AdapterOptions = {"name": "moderation", **options}
    return ModerationGuard(**structs.asdict(guard(*stages, **taken)(judge)))


def _asking(model: str | None) -> Ask:
    more = {} if model is None else {"model": model}
    return lambda text: {**more, "input": text}


class _Judge:
    """Asks by HTTP; the key is read when it is needed and kept nowhere else."""

    def __init__(self, url: str, key: Key, ask: Ask, read: Read, seconds: float) -> None:
        if key is not None and not callable(key):
            _bearer(key)
        self._url, self._key, self._ask, self._read = url, key, ask, read
        self._seconds = seconds
        # Reading certificates takes longer than a chat waits, so the first text must not do it.
        self._tls = load("httpx", "moderation").create_ssl_context()
        # A client lives in one loop: its sockets are of no use in another.
        self._client: RunVar[httpx.AsyncClient | None] = RunVar("ctxbridge.moderation", None)

    def __repr__(self) -> str:
        return f"<judge at {urlsplit(self._url).hostname}>"

    async def __call__(self, check: TextCheck) -> Verdict:
        body = msgspec.json.encode(self._ask(check.text))
        answer = await self._post(body)
        try:
            decoded = msgspec.json.decode(answer)
        except _NOT_JSON:
            raise Malformed("the judge did not answer in JSON") from None
        return self._read(decoded)

    async def aclose(self) -> None:
        client = self._client.get()
        if client is not None:
            self._client.set(None)
            await client.aclose()

    async def _post(self, body: bytes) -> bytes:
        """The body of the answer, which surely came whole with status 200."""
        import httpx

        key = self._key() if callable(self._key) else self._key
        headers = {"Content-Type": "application/json", **(_bearer(key) if key is not None else {})}
        try:
            async with self._opened().stream(
                "POST", self._url, content=body, headers=headers
            ) as response:
                if response.status_code != 200:
                    raise PayloadError(f"the judge answered with status {response.status_code}")
                return await _whole(response)
        except httpx.HTTPError as error:
            # Its own words may hold the address, and its request holds the key.
            raise PayloadError(f"the judge did not answer: {type(error).__name__}") from None

    def _opened(self) -> "httpx.AsyncClient":
        import httpx

        client = self._client.get()
        if client is None:
            client = httpx.AsyncClient(
                # What is not compressed cannot grow.
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=self._seconds,
                verify=self._tls,
                follow_redirects=False,
            )
            self._client.set(client)
        return client


async def _whole(response: "httpx.Response") -> bytes:
    """The body, at most `MAX_ANSWER_BYTES` of it and not compressed; raises `Malformed`."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Malformed("the judge's answer is compressed, which was not asked for")
    body = bytearray()
    # To leave the loop by `break` would leave httpx's generators half read, which trio reports. A
    # cancelled read unwinds them.
    with anyio.CancelScope() as enough:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                enough.cancel()
    if len(body) > MAX_ANSWER_BYTES:
        raise Malformed(f"the judge's answer is over {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


class _Reader:
    """Makes a verdict of an answer like OpenAI's."""

    def __init__(
        self,
        categories: Collection[str] | None,
        threshold: float | Mapping[str, float] | None,
        action: Objection,
        say: str | None,
        to: str,
    ) -> None:
        require(action)
        if isinstance(categories, str) or (categories is not None and not categories):
            raise ConfigurationError("categories is a set of names, as {'hate'}")
        self._least = dict(threshold) if isinstance(threshold, Mapping) else threshold
        least = self._least.values() if isinstance(self._least, dict) else [self._least or 0]
        if not all(0 <= one <= 1 for one in least) or self._least == {}:
            raise ConfigurationError("a threshold is a score from 0 to 1")
        if isinstance(self._least, dict) and categories is not None:
            raise ConfigurationError("thresholds by name leave nothing to say by categories")
        self._categories = categories
        self._action, self._say, self._to = action, say, to

    def __call__(self, answer: Any) -> Verdict:
        try:
            (result,) = msgspec.convert(answer, _Answer).results
        except _NOT_JSON:
            raise Malformed("the judge's answer is none of a moderation") from None
        found = self._flagged(result) if self._least is None else self._scored(result)
        return allow() if found is None else self._object(found)

    def _flagged(self, result: Moderated) -> str | None:
        """The category that is objected to, ``flagged`` where none is named; `None` for none."""
        wanted = result.categories if self._categories is None else self._categories
        held = [name for name in wanted if _answered(result.categories, name)]
        scores = result.category_scores
        surest = max(held, key=lambda name: scores.get(name) or 0.0, default=None)
        if surest is None and self._categories is None and result.flagged:
            return "flagged"
        return surest

    def _scored(self, result: Moderated) -> str | None:
        scores, least = result.category_scores, self._least
        wanted = least if isinstance(least, dict) else self._categories or scores
        if not wanted:
            raise Malformed("the judge answered without a score")
        limits = least if isinstance(least, dict) else dict.fromkeys(wanted, least or 0.0)
        reached = {name: _answered(scores, name) for name in limits}
        over = [name for name, score in reached.items() if score >= limits[name]]
        return max(over, key=lambda name: reached[name], default=None)

    def _object(self, category: str) -> Verdict:
        code = f"moderation.{category if _CATEGORY.fullmatch(category) else 'flagged'}"
        return objection(self._action, code, say=self._say, to=self._to)


def _answered(answers: Mapping[str, bool | None] | Mapping[str, float | None], name: str) -> float:
    """What was answered of a category; `None` is what OpenAI says of one that does not apply."""
    if name not in answers:
        raise Malformed("the judge did not answer for a category that was asked for")
    return float(answers[name] or 0)


def _bearer(key: str) -> dict[str, str]:
    if not (key and key.isascii() and key.isprintable()):
        raise ConfigurationError("api_key is empty, or is nothing that a header can hold")
    return {"Authorization": f"Bearer {key}"}


def _address(url: str) -> str:
    """`url`, if it is one; what is wrong with it is not repeated, as it may hold a password."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError("url must be an absolute address, without a name and password")
    return url
