"""Who wrote a mail, as far as headers can tell: is it a person, and does anybody vouch for them."""

import re

from ctxbridge.channels.mail import headers
from ctxbridge.channels.mail.mime import Part, below

MAX_RESULTS_CHARACTERS = 8 * 1024

_MAILERS = re.compile(
    r"(?:mailer-daemon|postmaster|(?:no|do-?not|donot)[-_.]?reply|bounces?)(?:[-_.+=].*)?",
)
_PRESENT = ("list-id", "list-unsubscribe", "feedback-id", "x-autoreply", "x-autorespond")
_PRECEDENCE = frozenset({"bulk", "list", "junk", "auto_reply"})
# Who suppresses our answer. The other words of it are about receipts (MS-OXCMAIL, 2.2.3.2.14).
_SUPPRESSED = frozenset({"all", "dr", "autoreply"})
_REPORTS = ("multipart/report", "message/disposition-notification")
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")


def is_automatic(mail: Part, address: str) -> bool:
    """Whether a program wrote this mail: answering helps nobody and may loop (RFC 3834)."""
    kind, _ = headers.parameters(mail.first("content-type"))
    return (
        any(mail.values(name) for name in _PRESENT)
        or any(_word(value) != "no" for value in mail.values("auto-submitted"))
        or any(_word(value) in _PRECEDENCE for value in mail.values("precedence"))
        or any(_suppresses(value) for value in mail.values("x-auto-response-suppress"))
        or any(key.lower().startswith("x-auto-reply") for key, _ in mail.raw_items())
        or any(value.strip() == "<>" for value in mail.values("return-path"))
        or kind in _REPORTS
        or _is_invitation(mail)
        or bool(_MAILERS.fullmatch(address.partition("@")[0]))
    )


def _word(value: str) -> str:
    return value.partition(";")[0].partition("(")[0].strip().lower()


def _suppresses(value: str) -> bool:
    return any(word.strip() in _SUPPRESSED for word in value.lower().split(","))


def _is_invitation(mail: Part) -> bool:
    """Whether the mail is an entry of a calendar, or the answer to one (RFC 6047).

    Then it is one of the forms of its words. One that lies beside them is a file that somebody
    sends. Invitations with files have their forms one level down.
    """
    forms = [mail]
    for part in (mail, *below(mail)):
        kind = headers.parameters(part.first("content-type"))[0]
        forms += below(part) if kind == "multipart/alternative" else ()
    for form in forms:
        kind, named = headers.parameters(form.first("content-type"))
        if kind == "text/calendar" and named.get("method"):
            return True
    return False


def signs(mail: Part, domain: str) -> bool | None:
    """Whether a DKIM signature of `domain` itself is on the mail; `None` if none can be trusted.

    It is not checked here: who says that one is good must be somebody else. One with ``l=`` covers
    a beginning of the body, to which anybody may have added (RFC 6376, 8.2). And a domain that is
    none may be there to be read as two, where a verdict is written as text.
    """
    found = False
    for value in mail.values("dkim-signature"):
        tags = _tags(value)
        signer = tags.get("d", "")
        odd = len(value) > MAX_RESULTS_CHARACTERS or not _DOMAIN.fullmatch(signer)
        if odd or (signer == domain and "l" in tags):
            return None
        found |= signer == domain
    return found


def signs_alone(mail: Part, domain: str) -> bool:
    """Whether the one signature on the mail is of `domain`: then a verdict on "it" is about that.

    A scanner that reads From otherwise than we do may mean another domain's.
    """
    return len(mail.values("dkim-signature")) == 1 and signs(mail, domain) is True


def _tags(value: str) -> dict[str, str]:
    """The tags of a DKIM-Signature (RFC 6376, 3.2); what is given twice is none."""
    found: dict[str, str] = {}
    for tag in value.split(";"):
        name, _, given = tag.partition("=")
        name = name.strip()
        found[name] = "" if name in found else headers.lower("".join(given.split()))
    return found


def domain_of(path: str) -> str:
    """The domain of an envelope's address, empty if it is none (``<>``)."""
    return headers.canonical(path.strip().strip("<>")).rpartition("@")[2]


def is_aligned(mail: Part, authserv_id: str, domain: str) -> bool:
    """Whether our own server says that DMARC passed for `domain` (RFC 8601, RFC 7489).

    Only the topmost Authentication-Results counts, and only if it is of exactly `authserv_id`:
    those below may have come with the mail. The server must remove forgeries of its own id (RFC
    8601, 5).
    """
    results = mail.values("authentication-results")
    if not results or len(results[0]) > MAX_RESULTS_CHARACTERS:
        return False
    server, *statements = _statements(results[0])
    name, _, version = server.partition(" ")
    if headers.lower(name) != headers.lower(authserv_id) or version.strip() not in ("", "1"):
        return False
    judged = [s for s in map(_properties, statements) if "dmarc" in s]
    return (
        len(judged) == 1 and judged[0]["dmarc"] == "pass" and judged[0].get("header.from") == domain
    )


def _statements(raw: str) -> list[str]:
    """The statements between semicolons, comments left out, quotes opened. One pass, no recursion.

    A character that a quote protects is kept only if it cannot end a statement or a word.
    """
    pieces: list[str] = [""]
    kept: list[str] = []
    depth, quoted, skip = 0, False, False
    for char in headers.eight_bit(raw):
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        elif char == '"' and not depth:
            quoted = not quoted
        elif char == "(" and not quoted:
            depth += 1
        elif char == ")" and depth and not quoted:
            depth -= 1
        elif char == ";" and not quoted and not depth:
            pieces[-1] = "".join(kept)
            pieces.append("")
            kept = []
        elif not depth:
            kept.append("_" if quoted and char in "; =" else char)
    if depth or quoted:  # cut, or forged: what was left open may have swallowed a statement
        return [""]
    pieces[-1] = "".join(kept)
    return [" ".join(piece.split()) for piece in pieces]


def _properties(statement: str) -> dict[str, str]:
    """``dmarc=pass header.from=example.org`` as a dict; what is given twice counts as neither."""
    found: dict[str, str] = {}
    for word in headers.lower(statement.replace(" =", "=").replace("= ", "=")).split():
        name, equals, value = word.partition("=")
        if equals:
            name = name.partition("/")[0]
            found[name] = "" if name in found else value
    return found
