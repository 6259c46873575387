"""Automatic mail and echoes of our own: never answered, or two machines talk for ever."""
# ruff: noqa: E501 - a phrase is one line

from typing import Literal

from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, warn
from ctxbridge.guards.words import Phrases, folded
from ctxbridge.model import Verdict

BEGINNING = 400
"""How far into a text its first words go: what stands below may be a person's who quotes one."""

# How answering machines begin, by language; see `words` for the notation.
BODIES = {
    "en": (
        "i|we am|are currently out of the|my office",
        "i|im am? currently? out of the|my? office until|from|this|and|with|today|on|till",
        "i|im am? currently? on annual|maternity|paternity|parental|sick? leave until|from|and|with|till",
        "i|im am? away from my|the desk|office|email|mail until|from|and|with",
        "i will be out of the|my? office",
        "i have no|limited access to my? email|emails|mail",
        "this is an automatic|automated|auto reply|response|message|answer|email|notification",
        "this mailbox|inbox|address|account is not monitored",
        "please do not reply to this email|message|mail",
        "thank you for your email|message i|we am|are currently? out|away",
        "your message could|was not be? delivered",
        "delivery to the following recipient|recipients failed",
    ),
    "de": (
        "ich bin bis|ab|vom|zurzeit|derzeit|momentan zum? _? nicht im buro",
        "ich bin zurzeit|derzeit|momentan|aktuell nicht im|am buro|haus|platz|arbeitsplatz",
        "ich bin zurzeit|derzeit|momentan|aktuell im urlaub",
        "ich bin zurzeit|derzeit|momentan|aktuell nicht erreichbar",
        "dies|das ist eine automatische|automatisch _? antwort|nachricht|mail|email",
        "ihre|deine nachricht|mail|email wird nicht weitergeleitet",
        "diese|dieses postfach|mailbox|adresse wird nicht gelesen|uberwacht",
    ),
    "fr": (
        "je suis actuellement absent|absente|en",
        "je suis absent|absente du bureau",
        "je suis en conges|conge|vacances jusqu|du",
        "ceci est un message|une automatique|reponse automatique?",
        "je serai absent|absente du|jusqu",
    ),
    "es": (
        "estoy|me fuera de la oficina",
        "me encuentro fuera de la? oficina",
        "estoy de vacaciones hasta|del",
        "este|esta es un|una mensaje|respuesta automatico|automatica",
        "estare|estaremos fuera de la? oficina",
    ),
    "it": (
        "sono|saro fuori ufficio|sede",
        "sono|saro assente dall|dal|fino",
        "sono|saro in ferie fino|dal",
        "questo|questa e un|una messaggio|risposta automatico|automatica",
    ),
    "pt": (
        "estou|estarei fora do escritorio",
        "estou|estarei de ferias ate|de",
        "estou|estarei ausente ate|do|de",
        "esta|este e uma|um resposta|mensagem automatica|automatico",
    ),
    "nl": (
        "ik ben momenteel|tot|van niet? _? afwezig|aanwezig",
        "ik ben afwezig tot|van",
        "ik ben met vakantie|verlof tot|van",
        "ik ben niet op kantoor",
        "dit is een automatisch|automatische antwoord|bericht|reactie",
    ),
    "pl": (
        "przebywam na|poza urlopie|biurem",
        "jestem na urlopie do|od",
        "jestem poza biurem",
        "to jest automatyczna|automatyczny odpowiedz|wiadomosc",
        "to wiadomosc|odpowiedz automatyczna",
    ),
}  # fmt: skip
_BODIES = Phrases(BODIES)

Bodies = Literal["off", "warn", "block"]


def automatic(*, bodies: Bodies = "warn") -> FunctionGuard:
    """Blocks, in silence, what no person wrote, as the adapter flagged it (RFC 3834).

    Where no header says so, a text that begins as answering machines do ("I am out of the office
    until ...") is a guess, since people write that too: `bodies` says whether it is let through
    with a warning, blocked, or not looked at. `loop_breaker` stops those that answer for ever.
    """
    return _GUARDS[bodies]


def _made(bodies: Bodies) -> FunctionGuard:
    @guard("inbound", name="automatic", early=True)
    def check(check: TextCheck) -> Verdict:
        if "self" in check.flags:
            return block("automatic.echo")
        if "auto" in check.flags:
            return block("automatic.mail")
        if bodies == "off" or not _BODIES.occur(folded(check.text[:BEGINNING])):
            return allow()
        return block("automatic.body") if bodies == "block" else warn("automatic.body")

    return check


_GUARDS: dict[Bodies, FunctionGuard] = {
    "off": _made("off"),
    "warn": _made("warn"),
    "block": _made("block"),
}
