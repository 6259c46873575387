"""How an SMS counts and holds text (3GPP TS 23.038, 6.2.1 and 23.040, 9.2.3.24).

A text is GSM 03.38 where all its characters are in that table, else UCS-2. One message holds 160
septets or 70 units of UTF-16; each of several that are joined holds 153 or 67.
"""

from collections.abc import Iterable

from msgspec import Struct

# GSM 03.38, 6.2.1: the basic table, and what takes an escape before it.
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = BASIC | EXTENSION
GSM_ALONE, GSM_JOINED = 160, 153
UCS_ALONE, UCS_JOINED = 70, 67

# Typography alone: no letter is changed, since that would change words and names.
_PLAINER = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′´`ʼ", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys(
            "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\t", " "
        ),
        **dict.fromkeys("\u200b\u2060\ufeff\u00ad", ""),
        "…": "...",
        "•": "-",
        "·": "-",
        "×": "x",
        "⁄": "/",
        "‹": "<",
        "›": ">",
    }
)


def is_gsm(text: str) -> bool:
    """Whether all of `text` is in GSM 03.38."""
    return _GSM.issuperset(text)


def segments(text: str) -> int:
    """How many SMS `text` is, at least one. Neither an escape nor a surrogate pair is split."""
    if _GSM.issuperset(text):
        return _packed([2 if c in EXTENSION else 1 for c in text], GSM_ALONE, GSM_JOINED)
    return _packed([2 if c > "\uffff" else 1 for c in text], UCS_ALONE, UCS_JOINED)


def _packed(units: Iterable[int], alone: int, joined: int) -> int:
    """How many messages are filled by characters of one or two `units`."""
    total, full, used = 0, 0, 0
    for size in units:
        total += size
        if used + size > joined:
            full, used = full + 1, 0
        used += size
    return 1 if total <= alone else full + 1


class Economy(Struct, frozen=True, gc=False):
    """A text in fewer SMS: how many it was `before`, and is `after`. Nothing saved: the same."""

    text: str
    before: int
    after: int

    @property
    def saved(self) -> int:
        """How many SMS less."""
        return self.before - self.after


def economical(text: str) -> Economy:
    """`text` with typewriter's quotes, dashes and blanks, where that makes it fewer SMS.

    One curly quote halves what an SMS holds. Letters stay as they are, and so does a text that
    needs UCS-2 in any case.
    """
    before = segments(text)
    plainer = text.translate(_PLAINER) if not is_gsm(text) else text
    after = segments(plainer) if is_gsm(plainer) else before
    return Economy(plainer, before, after) if after < before else Economy(text, before, before)
