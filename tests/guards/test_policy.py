"""A policy as a file: what it makes, and that nothing wrong in it goes unnoticed."""

import pytest

from ctxbridge import errors, guards

WHOLE = """
[[guard]]
use = "opt_out"
everywhere = ["marketing"]
suspected = "escalate"

[[guard]]
use = "pii"
kinds = ["card", "iban"]
mode = "redact"

[[guard]]
use = "automatic"
[[guard]]
use = "channel_window"
[[guard]]
use = "loop_breaker"
[[guard]]
use = "recipient"
[[guard]]
use = "contact_budget"
messages = 5
per_seconds = 60
channels = ["sms"]
[[guard]]
use = "disclosure"
text = "I am a machine."
[[guard]]
use = "link_allowlist"
hosts = ["acme.example"]
[[guard]]
use = "sms_segments"
[[guard]]
use = "quiet_hours"
zone = "Europe/Berlin"
days = [0, 1]
observe = true
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "policy.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return guards.read_policy(path)

    return read


def test_every_built_in_guard_can_stand_in_a_file(read):
    made = read(WHOLE)
    assert [guard.name for guard in made] == [
        "opt_out", "pii", "automatic", "channel_window", "loop_breaker", "recipient",
        "contact_budget", "disclosure", "link_allowlist", "sms_segments", "quiet_hours",
    ]  # fmt: skip
    assert [guard.mode for guard in made] == ["enforce"] * 10 + ["observe"]


def test_the_version_tells_which_policy_it_was(read):
    (first,) = read('[[guard]]\nuse = "pii"\n')
    (second,) = read('[[guard]]\nuse = "pii"\nmode = "redact"\n')
    plain = guards.pii().version
    assert first.version.startswith(f"{plain}+")
    assert first.version != second.version
    assert len(first.version) == len(plain) + 9


async def test_it_judges_as_it_says(read):
    made = read('[[guard]]\nuse = "contact_budget"\nmessages = 1\n')
    check = guards.TextCheck("reply", "hi", "sms", 2, 0, said_before=1)
    judged = await guards.judge(made, check, str.encode)
    assert judged.decision.code == "budget.messages"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[guard]]\nuse = ", "no TOML"),
        (b"\xff\xfe", "no TOML"),
        ("x = " + "[" * 5_000, "no TOML"),
        ("", "list of"),
        ("guard = 1", "list of"),
        ('title = "x"\n[[guard]]\nuse = "pii"', "nothing else"),
        ("guard = [1]", "guard 1"),
        ("[[guard]]\nuse = 4", "guard 1"),
        ('[[guard]]\nuse = "pii"\n[[guard]]\nuse = "piii"', "guard 2"),
        ('[[guard]]\nuse = "pii"\nkind = ["card"]', "guard 1 of the policy (pii): there is no option 'kind'"),
        ('[[guard]]\nuse = "pii"\nkinds = "card"', "kinds"),
        ('[[guard]]\nuse = "pii"\nkinds = ["cart"]', "card"),
        ('[[guard]]\nuse = "pii"\nmode = "token"\nkey = "k"', "secret"),
        ('[[guard]]\nuse = "pii"\nobserve = "yes"', "observe"),
        ('[[guard]]\nuse = "quiet_hours"', "zone"),
        ('[[guard]]\nuse = "quiet_hours"\nzone = "Europe/Berlyn"', "time zone"),
        ('[[guard]]\nuse = "quiet_hours"\nzone = 3', "zone"),
        ('[[guard]]\nuse = "contact_budget"\nmessages = "5"', "messages"),
        ('[[guard]]\nuse = "contact_budget"\nmessages = 0', "at least one"),
        ('[[guard]]\nuse = "opt_out"\nstopped = 5', "stopped"),
        ('[[guard]]\nuse = "opt_out"\nsuspected = "perhaps"', "suspected"),
        ("#" * 300_000, "bytes"),
    ],
)  # fmt: skip
def test_a_policy_with_an_error_is_refused_and_says_where(read, text, told):
    with pytest.raises(errors.ConfigurationError) as raised:
        read(text)
    assert told in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(errors.ConfigurationError, match="cannot be read"):
        guards.read_policy(tmp_path / "none.toml")
