"""What a text may hold before it is stored."""

import re

# NUL ends strings in C and is refused by some stores; lone surrogates are no text at all. Direction
# marks and joiners stay: they belong to languages, and removing them changes words.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with what cannot be stored or sent replaced by U+FFFD; the rest untouched."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)
