"""STOP, START and HELP: recognised before anything is stored, never shown to a model.

Carriers and providers match the whole message and a single word; so does this. The seven words of
47 CFR 64.1200(a)(10) are all among them. A wish in other words ("please remove me") is ordinary
text here. A "yes" or "start over" to a bot's question is no opt-in; only START and UNSTOP are.
"""

import unicodedata

from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard
from ctxbridge.model import Assurance, Verdict
from ctxbridge.model.decision import ConsentWord

_STOP_WORDS_BY_LANGUAGE = {
    "en": ("stop", "stopall", "stop all", "unsubscribe", "optout", "opt out", "revoke", "remove"),
    "fr": ("arret", "arrêt", "désabonner", "desabonner"),
    "es": ("alto", "parar", "baja", "cancelar"),
    "de": ("stopp", "abmelden", "abbestellen"),
    "it": ("cancella", "disiscrivi"),
    "nl": ("afmelden", "uitschrijven"),
    "pt": ("sair", "remover"),
    "pl": ("wypisz", "rezygnuję"),
}
STOP_WORDS = frozenset(w for words in _STOP_WORDS_BY_LANGUAGE.values() for w in words)
# Words that are ordinary answers elsewhere, but mean STOP to every SMS provider.
STOP_WORDS_PHONE = frozenset({"cancel", "end", "quit"})
START_WORDS = frozenset({"start", "unstop"})
HELP_WORDS = frozenset({"help", "info"})

PHONE_CHANNELS = frozenset({"sms", "whatsapp", "rcs"})
LONGEST_WORD = 24

STOPPED = "You will get no more messages from us here. Reply START to change that."
STARTED = "You will get our messages here again. Reply STOP to end them."
HELPED = "This is an automated assistant. Reply STOP to end messages, START to get them again."


def keyword(text: str) -> str:
    """The message as a keyword is compared: NFKC, lower case, no punctuation around; or empty."""
    if len(text) > LONGEST_WORD * 2:
        return ""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c if c.isalnum() else " " for c in folded)
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


def opt_out(
    *,
    channels: frozenset[str] = PHONE_CHANNELS | {"email"},
    stopped: str | None = STOPPED,
    started: str | None = STARTED,
    helped: str | None = HELPED,
) -> FunctionGuard:
    """Recognises STOP, START and HELP on `channels`, and what the provider has already handled.

    The wish is applied in the same atomic step that stores the message, even while another turn is
    running; START only from a sender that the channel vouches for, STOP from anybody. The customer
    gets one confirmation (`stopped`, `started`, `helped`; `None` for silence), and none where the
    provider has sent its own.
    """
    answers = {"stop": stopped, "start": started, "help": helped}

    @guard("inbound", name="opt_out", early=True)
    def check(check: TextCheck) -> Verdict:
        handled = next((f[8:] for f in check.flags if f.startswith("opt_out.")), "")
        if check.channel not in channels and not handled:
            return allow()
        wish = handled or meaning(keyword(check.text), check.channel)
        if not wish or (wish == "start" and check.assurance < Assurance.CHANNEL):
            return allow()
        consent = ConsentWord(wish == "start", check.channel) if wish != "help" else None
        say = None if handled else answers[wish]
        return block(f"consent.{wish}", say=say, consent=consent)

    return check
