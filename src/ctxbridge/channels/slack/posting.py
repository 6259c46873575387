"""Slack's way out: ``chat.postMessage``, without any I/O.

Sources: docs.slack.dev/reference/methods/chat.postMessage (fields, errors, 40,000 characters),
/apis/web-api/rate-limits (429 and Retry-After), /reference/block-kit/blocks (25 elements, 3,000
characters in a section) and /reference/block-kit/block-elements/button-element (75 and 2,000).
Slack has no key by which it would know a repetition: ``client_msg_id`` is in no page of the method,
so what may have been posted is never posted again.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from ctxbridge.channels.slack.payloads import is_id, milliseconds
from ctxbridge.channels.slack.text import escaped
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, Choice, HttpAnswer, HttpRequest, Outgoing, Sent
from ctxbridge.rules.choices import said_in
from ctxbridge.rules.text import clean

MAX_TEXT_CHARACTERS = 40_000
MAX_SECTION_CHARACTERS = 3_000
MAX_BUTTONS = 25
MAX_LABEL_CHARACTERS = 75
MAX_VALUE_CHARACTERS = 2_000
LONGEST_RETRY_AFTER_SECONDS = 86_400.0

CAPABILITIES = Capabilities(
    form="slack", longest=4_000, buttons=MAX_BUTTONS, button_characters=MAX_LABEL_CHARACTERS,
    media=True, threads=True, edits=True, deletes=True, reactions=True, receipts=("sent",),
)  # fmt: skip
"""What Slack can show. Beyond 4,000 characters it advises to split, beyond 40,000 it cuts."""

# What surely was not posted and may be later: too fast, or a token that somebody must mend.
_LATER = frozenset({
    "ratelimited", "rate_limited", "message_limit_exceeded", "request_timeout",
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
    "missing_scope", "ekm_access_denied", "team_added_to_org", "org_login_required",
})  # fmt: skip
# "It's possible some aspect of the operation succeeded before the error was raised."
_NOBODY_KNOWS = frozenset(
    {"fatal_error", "internal_error", "service_unavailable", "team_unavailable"}
)
_WORD = re.compile(r"[a-z0-9_]{1,48}")
_WAIT = re.compile(r"[0-9]{1,9}")
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Posted(Struct):
    team: str | None = None


class _Answer(Struct):
    ok: bool = False
    error: str | None = None
    channel: str | None = None
    ts: str | None = None
    message: _Posted | None = None


class SlackPosts:
    """Builds posts with the bot token `token`, or with one for each installation's id in a mapping.

    A message goes to the channel and thread that it answers, else to the person directly. Choices
    become buttons. Texts are plain, and are escaped, so that nobody is notified by what a model
    wrote (``<!everyone>``); with `markup` they are Slack's own markup already, as a renderer makes
    it. Raises `ConfigurationError` for an empty token or an address that is none.
    """

    name: str = "slack"
    channel: str = "slack"
    repeatable: bool = False

    def __init__(
        self,
        token: str | Mapping[str, str],
        *,
        markup: bool = False,
        url: str = "https://slack.com/api/chat.postMessage",
    ) -> None:
        tokens = {"": token} if isinstance(token, str) else dict(token)
        if not tokens or not all(
            one and one.isascii() and one.isprintable() for one in tokens.values()
        ):
            raise ConfigurationError("a bot token is empty or has characters that no token has")
        if not url.startswith(("https://", "http://")):
            raise ConfigurationError("url must be an absolute address")
        self._tokens = tokens
        self._markup = markup
        self._url = url
        self.capabilities = msgspec.structs.replace(CAPABILITIES, form="slack", media=False)

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """The request, or why there can be none.

        ``failed``: ``slack.empty``, ``slack.too_long``, ``slack.choices`` (too many, or one over
        its limits), ``slack.address``, ``slack.token``. Attachments are not sent.
        """
        marked, choices = clean(outgoing.marked("slack")), self._buttons(outgoing)
        text, marks = marked or clean(outgoing.text), self._markup or bool(marked)
        if not text.strip():
            return Sent("failed", code="slack.empty")
        shown = text if marks else escaped(text)
        if len(shown) > MAX_TEXT_CHARACTERS:
            return Sent("failed", code="slack.too_long")
        if len(choices) > MAX_BUTTONS or not all(map(_fits, choices)):
            return Sent("failed", code="slack.choices")
        channel, _, thread = outgoing.message.thread.partition(":")
        channel = channel or outgoing.address.value
        if not is_id(channel) or (thread and not milliseconds(thread)):
            return Sent("failed", code="slack.address")
        token = self._tokens.get(outgoing.address.scope) or self._tokens.get("")
        if not token:
            return Sent("failed", code="slack.token")
        post: dict[str, object] = {"channel": channel, "text": shown, "mrkdwn": marks}
        if thread:
            post["thread_ts"] = thread
        if choices:
            post["blocks"] = [*_sections(text, marks=marks), _buttons(choices)]
        headers = (
            ("Authorization", f"Bearer {token}"),
            ("Content-Type", "application/json; charset=utf-8"),
        )
        return HttpRequest(self._url, msgspec.json.encode(post), headers)

    def _buttons(self, outgoing: Outgoing) -> list[Choice]:
        """What is offered; nothing where the words say it already."""
        choices = outgoing.choices
        if choices is None or said_in(outgoing.text, choices):
            return []
        return list(choices.offered)

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """``sent`` under the message's id. Slack says most of its errors with a 200.

        ``retry``: 429, and what a person can mend, such as a token. ``unknown``: a 5xx, errors of
        which Slack says that the message may be there, and what is no answer of Slack's.
        """
        if answer.status == 429:
            return Sent("retry", code="slack.ratelimited", retry_after=_wait(answer))
        try:
            told = msgspec.json.decode(answer.body or b"", type=_Answer)
        except _UNDECODABLE:
            return Sent("unknown", code=f"slack.{answer.status}")
        if told.ok and told.channel and is_id(told.channel) and milliseconds(told.ts):
            team = told.message.team if told.message else None
            place = f"{told.channel}:{told.ts}"
            return Sent("sent", provider_id=f"{team}:{place}" if team and is_id(team) else place)
        error = told.error or ""
        if told.ok or answer.status >= 500 or not _WORD.fullmatch(error) or error in _NOBODY_KNOWS:
            return Sent("unknown", code=f"slack.{answer.status}")
        later = error in _LATER
        return Sent(
            "retry" if later else "failed",
            code=f"slack.{error}",
            retry_after=_wait(answer) if later else 0.0,
        )


def _sections(text: str, *, marks: bool) -> list[dict[str, object]]:
    """The text in blocks, since blocks are shown in its place."""
    kind = "mrkdwn" if marks else "plain_text"
    cuts = [cut for cut in _cuts(text) if cut.strip()]
    return [{"type": "section", "text": {"type": kind, "text": cut}} for cut in cuts]


def _fits(choice: Choice) -> bool:
    """Whether it is a button that Slack takes; a cut id would come back as another."""
    label = 0 < len(choice.label) <= MAX_LABEL_CHARACTERS
    return label and 0 < len(choice.id) <= MAX_VALUE_CHARACTERS


def _cuts(text: str) -> Iterator[str]:
    """Pieces that fit a section, cut at the end of a line or a word where there is one."""
    while len(text) > MAX_SECTION_CHARACTERS:
        head = text[:MAX_SECTION_CHARACTERS]
        at = max(head.rfind("\n"), head.rfind(" ")) + 1 or MAX_SECTION_CHARACTERS
        yield text[:at]
        text = text[at:]
    yield text


def _buttons(choices: list[Choice]) -> dict[str, object]:
    elements = [
        {
            "type": "button",
            "action_id": f"choice-{n}",
            "text": {"type": "plain_text", "text": clean(choice.label)},
            "value": clean(choice.id),
        }
        for n, choice in enumerate(choices)
    ]
    return {"type": "actions", "elements": elements}


def _wait(answer: HttpAnswer) -> float:
    given = answer.header("Retry-After").strip()
    return min(float(given), LONGEST_RETRY_AFTER_SECONDS) if _WAIT.fullmatch(given) else 0.0
