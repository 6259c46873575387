"""Which release the running code answers as: it stands on every span and metric of its turn."""

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from ctxbridge.model.control import Release
from ctxbridge.telemetry import names

_KEY = otel_context.create_key("ctxbridge.release")


def of_release(release: Release | None) -> dict[str, str]:
    """The attributes of a release; none for none."""
    if release is None:
        return {}
    return {names.AGENT_NAME: release.agent, names.AGENT_VERSION: release.version}


def agent_and_version(release: Release | None) -> tuple[str, str] | tuple[None, None]:
    """What a tally counts by."""
    return (release.agent, release.version) if release is not None else (None, None)


def current_release(context: Context | None = None) -> Release | None:
    """The release of the turn that runs here; `None` for none."""
    known = otel_context.get_value(_KEY, context)
    return known if isinstance(known, Release) else None


def with_release(release: Release | None, context: Context) -> Context:
    """The context in which the code answers as this release."""
    return context if release is None else otel_context.set_value(_KEY, release, context)
