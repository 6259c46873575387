"""What mail programs write around a quote, by language: data for `signs` and `labels`.

Adding a language is adding a row to one of the tables. All is compared in lower case; the phrases
of one field are separated by "|".
"""

from ctxbridge.channels.mail.phrases import eastern, western
from ctxbridge.channels.mail.phrases.language import Language

LANGUAGES: dict[str, Language] = western.LANGUAGES | eastern.LANGUAGES


def every(field: str) -> frozenset[str]:
    """The phrases of `field` in all languages."""
    found = [getattr(language, field) for language in LANGUAGES.values()]
    return frozenset(phrase for row in found for phrase in row.split("|") if phrase)
