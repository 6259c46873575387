"""Slack's own marks in a text: what people see instead of them.

Source: docs.slack.dev/messaging/formatting-message-text ("Escaping text", "Retrieving messages").
Emphasis (``*bold*``) and emoji (``:tada:``) stay as they were typed.
"""

import re

from ctxbridge.rules.text import clean

MAX_CHARACTERS = 64_000
"""Slack's own limit is 40,000 as they are shown; what is beyond this is not read."""

_MARK = re.compile(r"<([^<>\s][^<>]{0,2999})>|&(lt|gt|amp);")
_ESCAPED = {"lt": "<", "gt": ">", "amp": "&"}
_USER = re.compile(r"<@([A-Z0-9]{1,32})[|>]")


def plain(text: str) -> str:
    """The text without marks: ``<@U1|ann>`` is ``@ann``, and ``&lt;`` is ``<``.

    ``<https://x.example|here>`` is ``here (https://x.example)``. One pass, so that what is escaped
    is never taken for a mark.
    """
    return _MARK.sub(_shown, clean(text[:MAX_CHARACTERS]))


def mentioned(text: str) -> frozenset[str]:
    """The ids of the users that are mentioned."""
    return frozenset(_USER.findall(text[:MAX_CHARACTERS]))


def escaped(text: str) -> str:
    """The text such that Slack shows it as it is, and nobody is notified by it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _shown(mark: re.Match[str]) -> str:
    if mark[2]:
        return _ESCAPED[mark[2]]
    target, _, label = _unescaped(mark[1]).partition("|")
    if not target:
        return mark[0]
    if target[0] in "@#":
        return target[0] + (label or target[1:]).removeprefix(target[0])
    if target[0] == "!":
        return _special(target[1:], label)
    for scheme in ("mailto:", "tel:"):
        if target.removeprefix(scheme) == label:
            return label
    return f"{label} ({target})" if label and label != target else target


def _special(command: str, label: str) -> str:
    """``<!here>``, ``<!subteam^S1|@team>``, ``<!date^1392734382^{date}|Feb 18>``."""
    name = command.partition("^")[0]
    if name == "date":
        return label or "a date"
    return "@" + (label or name).removeprefix("@")


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
