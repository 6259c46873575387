"""STOP, START and HELP: recognised before anything is stored, never shown to a model.

Carriers and providers match the whole message and a single word; so does this. The seven words of
47 CFR 64.1200(a)(10) are all among them. A "yes" or "start over" to a bot's question is no opt-in.

A wish in other words ("please remove me from your list") counts just as much where the law is
strict, but can only be guessed: it is a possible opt-out, and what becomes of it is the caller's
choice. The words and phrases are data, in `wishes`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import wishes
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, escalate, guard, warn
from ctxbridge.guards.words import Phrases, folded, plain
from ctxbridge.model import Assurance, Purpose, Verdict
from ctxbridge.model.decision import ConsentWord


def _all(by_language: Mapping[str, Sequence[str]]) -> frozenset[str]:
    return frozenset(word for words in by_language.values() for word in words)


STOP_WORDS = _all(wishes.STOP_WORDS_BY_LANGUAGE)
STOP_WORDS_PHONE = _all(wishes.STOP_WORDS_ON_PHONES_BY_LANGUAGE)
START_WORDS = _all(wishes.START_WORDS_BY_LANGUAGE)
HELP_WORDS = wishes.HELP_WORDS
_WISHES = Phrases(wishes.WISHES, wishes.TURNED_ROUND, wishes.COMPLAINTS)

PHONE_CHANNELS = frozenset({"sms", "whatsapp", "rcs"})
LONGEST_WORD = 24

STOPPED = "You will get no more messages from us here. Reply START to change that."
STARTED = "You will get our messages here again. Reply STOP to end them."
HELPED = "This is an automated assistant. Reply STOP to end messages, START to get them again."


Suspected = Literal["warn", "escalate", "stop", "off"]


def keyword(text: str) -> str:
    """The message as a keyword is compared: in plain letters, no punctuation around; or empty."""
    if len(text) > LONGEST_WORD * 2:
        return ""
    kept = "".join(c if c.isalnum() else " " for c in plain(text))
    word = " ".join(kept.split())
    return word if len(word) <= LONGEST_WORD else ""


def meaning(word: str, channel: str) -> str:
    """``stop``, ``start``, ``help``, or empty for an ordinary message."""
    phone = channel in PHONE_CHANNELS
    if word in STOP_WORDS or (phone and word in STOP_WORDS_PHONE):
        return "stop"
    if word in START_WORDS:
        return "start"
    return "help" if phone and word in HELP_WORDS else ""


def is_possible(text: str) -> bool:
    """Whether free text says in some language that its writer wants no more messages."""
    return _WISHES.occur(folded(text))


def opt_out(
    *,
    channels: frozenset[str] = PHONE_CHANNELS | {"email"},
    stopped: str | None = STOPPED,
    started: str | None = STARTED,
    helped: str | None = HELPED,
    suspected: Suspected = "warn",
    queue: str = "consent",
    everywhere: Collection[Purpose] = (),
) -> FunctionGuard:
    """Recognises STOP, START and HELP on `channels`, and what the provider has already handled.

    The wish is applied in the same atomic step that stores the message, even while another turn is
    running; START only from a sender that the channel vouches for, STOP from anybody. The customer
    gets one confirmation (`stopped`, `started`, `helped`; `None` for silence), and none where the
    provider has sent its own.

    The wish counts for the channel that it came by. `everywhere` are the purposes for which it
    counts on all channels: with ``("marketing",)`` a STOP by SMS ends marketing by mail too. START
    by SMS then brings back what STOP by SMS ended, and nothing that was refused elsewhere.

    A wish in free text is a possible opt-out. `suspected` says what becomes of it: ``warn`` lets it
    through to the agent with ``consent.possible_opt_out`` in its decision, ``escalate`` hands it to
    a person in `queue`, ``stop`` takes it for STOP, ``off`` does not look.
    """
    if suspected not in get_args(Suspected):
        raise ConfigurationError(f"a suspected opt-out is one of {get_args(Suspected)}")
    if not set(everywhere) <= set(get_args(Purpose)):
        raise ConfigurationError(f"a purpose is one of {get_args(Purpose)}")
    on_all = tuple(sorted(set(everywhere)))
    answers = {"stop": stopped, "start": started, "help": helped}

    @guard("inbound", name="opt_out", version="2", early=True)
    def check(check: TextCheck) -> Verdict:
        handled = next((f[8:] for f in check.flags if f.startswith("opt_out.")), "")
        if check.channel not in channels and not handled:
            return allow()
        told, _, purpose = handled.partition(".")
        wish = told or meaning(keyword(check.text), check.channel)
        if not wish:
            possible = suspected != "off" and is_possible(check.text)
            stop = ConsentWord(False, check.channel, everywhere=on_all)
            return _suspect(suspected, stop, stopped, queue) if possible else allow()
        if wish == "start" and check.assurance < Assurance.CHANNEL:
            return allow()
        word = ConsentWord(wish == "start", check.channel, _purpose(purpose), on_all)
        consent = word if wish != "help" else None
        say = None if handled else answers[wish]
        return block(f"consent.{wish}", say=say, consent=consent)

    return check


def _purpose(named: str) -> Purpose:
    """What a provider's own settings spoke of (``opt_out.stop.marketing``); else everything."""
    return next((purpose for purpose in get_args(Purpose) if purpose == named), "all")


def _suspect(suspected: Suspected, stop: ConsentWord, stopped: str | None, queue: str) -> Verdict:
    """What is said of a possible opt-out."""
    code = "consent.possible_opt_out"
    if suspected == "escalate":
        return escalate(queue, code)
    if suspected == "stop":
        return block(code, say=stopped, consent=stop)
    return warn(code)
