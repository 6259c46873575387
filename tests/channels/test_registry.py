"""The registry of adapters, their secrets, and the edge that all of them share."""

import subprocess
import sys

import pytest

import ctxbridge.channels as channels
from ctxbridge.channels import ADAPTERS, adapter
from ctxbridge.channels._edge import UNREADABLE, total
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Parsed, RawRequest, Verification
from ctxbridge.ports import Channel

FORGED = Verification("failed", reason="for this test")


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_every_adapter_of_the_registry_fills_the_port(name: str) -> None:
    made: Channel = adapter(name)()
    assert all(callable(getattr(made, verb)) for verb in ("verify", "parse", "reply"))
    assert made.name == name
    assert made.channel
    assert made.horizon_seconds >= 24 * 3600


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_every_adapter_is_exported_under_its_class_name(name: str) -> None:
    kind = adapter(name)
    assert getattr(channels, kind.__name__) is kind
    assert kind.__name__ in channels.__all__


def test_a_wrong_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ConfigurationError, match=", ".join(sorted(ADAPTERS))):
        adapter("no such provider")


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Pigeon"):
        _ = channels.Pigeon


def test_importing_the_room_loads_no_adapter() -> None:
    code = "import sys, ctxbridge.channels; print([m for m in sys.modules if 'channels.' in m])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name",
    [
        "mailgun",
        "postmark",
        "sendgrid",
        "sinch",
        "sinch_sms",
        "slack",
        "standard-webhooks",
        "twilio",
        "webchat",
        "whatsapp",
    ],
)
@pytest.mark.parametrize("empty", ["", ("",), ["good", ""], None])
def test_an_empty_secret_refuses_to_start(name: str, empty: object) -> None:
    """Acceptance 24: a secret that is missing never means "unsigned"."""
    with pytest.raises(ConfigurationError, match="empty"):
        adapter(name)(empty)


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_failed_verification_comes_to_a_refusal_whatever_the_body(name: str) -> None:
    parsed = adapter(name)().parse(RawRequest(b"From: a@example.org\r\n\r\nhi"), FORGED)
    assert parsed.events == ()
    assert type(parsed.errors[0]).__name__ == "SignatureInvalid"
    assert adapter(name)().reply(parsed).status in (401, 403, 406)


def test_the_last_line_of_defence_answers_where_a_method_raises() -> None:
    @total(UNREADABLE)
    def parse() -> Parsed:
        raise KeyError

    assert parse() is UNREADABLE
