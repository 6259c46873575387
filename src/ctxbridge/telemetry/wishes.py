"""What the user has opted in to: GenAI names, and content. By default neither.

Both are read from OpenTelemetry's own variables, once, at import; `configure` goes before them.

- ``OTEL_SEMCONV_STABILITY_OPT_IN`` holds ``gen_ai_latest_experimental``: GenAI names.
- ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``: ``NO_CONTENT`` (default), ``SPAN_ONLY``,
  ``EVENT_ONLY``, ``SPAN_AND_EVENT``. What then leaves is what is stored: masked by the guards.
"""

import os
from collections.abc import Mapping
from typing import Literal, get_args

from ctxbridge.errors import ConfigurationError

Semconv = Literal["ctxbridge", "genai-2026"]
Content = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]

_OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Wishes:
    """Of this process, as OpenTelemetry's providers are."""

    __slots__ = ("content_events", "content_spans", "genai")

    def __init__(self, environment: Mapping[str, str]) -> None:
        opted = environment.get(_OPT_IN, "").split(",")
        self.genai = "gen_ai_latest_experimental" in [one.strip() for one in opted]
        self.content_spans = self.content_events = False
        asked = environment.get(_CAPTURE, "").strip().upper()
        # What is misspelt captures nothing: nobody's words leave by a mistake.
        self.capture(asked if asked in get_args(Content) else "NO_CONTENT")

    def capture(self, content: str) -> None:
        """Where content goes from now on."""
        self.content_spans = content in {"SPAN_ONLY", "SPAN_AND_EVENT"}
        self.content_events = content in {"EVENT_ONLY", "SPAN_AND_EVENT"}

    @property
    def content(self) -> bool:
        """Whether it goes anywhere."""
        return self.content_spans or self.content_events


wishes = Wishes(os.environ)


def configure(*, semconv: Semconv | None = None, content: Content | None = None) -> None:
    """Choose names and content for this process; what is `None` stays as it is.

    ``semconv="genai-2026"`` adds the names of OpenTelemetry's GenAI conventions, which are in
    development and will change. Raises `ConfigurationError` for a word that is none of these.
    """
    if semconv is not None and semconv not in get_args(Semconv):
        raise ConfigurationError(f"semconv is one of {', '.join(get_args(Semconv))}")
    if content is not None and content not in get_args(Content):
        raise ConfigurationError(f"content is one of {', '.join(get_args(Content))}")
    if semconv is not None:
        wishes.genai = semconv == "genai-2026"
    if content is not None:
        wishes.capture(content)
