"""The licences of what we bring: known, on the list, and as the page says."""

import sys
from email.message import Message

import pytest
from release.needs import needs

from release import licences


@pytest.fixture(scope="module")
def listed():
    return licences.parts()


def told(**fields):
    """Metadata of a package, with its classifiers as a list."""
    about = Message()
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            about[name.replace("_", "-")] = one
    return about


def test_every_licence_is_on_the_list(listed):
    here, missing = listed
    assert [part for part in here if not licences.may_be_brought(part.licence)] == []
    assert {"anyio", "msgspec", "opentelemetry-api", "pydantic", "redis"} <= {p.name for p in here}
    assert len(missing) < len(here) / 10  # or the list says little


@pytest.mark.parametrize(
    "licence",
    ["GPL-3.0-only", "AGPL-3.0", "MIT AND GPL-2.0", "Apache-2.0 OR LGPL-3.0", "BSD", "unknown", ""],
)
def test_a_licence_that_is_not_on_the_list_is_refused(licence):
    """The control."""
    assert not licences.may_be_brought(licence)


@pytest.mark.parametrize(
    ("about", "licence"),
    [
        (told(License_Expression="MIT", License="GPL"), "MIT"),
        (told(License="Apache License, Version 2.0"), "Apache-2.0"),
        (told(License="as you like", Classifier=["License :: OSI Approved :: MIT License"]), "MIT"),
        (told(Classifier=["License :: OSI Approved :: BSD License"]), "BSD License"),
        (told(License="See LICENSE\nfor more"), "See LICENSE"),
        (told(Classifier=["Topic :: Communications"]), "unknown"),
    ],
)
def test_a_licence_is_read_however_it_is_said(about, licence):
    assert licences.licence_of(about) == licence


def test_the_page_shows_what_is_found(listed):
    """Exactly on the Python that it was made with; others need a few packages less."""
    shown = licences.PAGE.read_text()
    if sys.version_info[:2] == (3, 11):
        assert shown == licences.page()
    for part in listed[0]:
        assert f"| {part.name} | {part.licence} |" in shown


def test_a_page_that_is_not_true_is_seen(monkeypatch, tmp_path):
    """The control: its rows are those of now, whatever stood there before."""
    (tmp_path / "licences.md").write_text(licences.PAGE.read_text().replace("| MIT |", "| GPL |"))
    monkeypatch.setattr(licences, "PAGE", tmp_path / "licences.md")
    assert licences.page() != licences.PAGE.read_text()


def test_what_is_needed_by_what_is_needed_counts_and_extras_do_if_asked_for():
    plain, _ = needs(["pydantic"])
    assert {"pydantic", "pydantic-core", "typing-extensions", "annotated-types"} <= set(plain)
    assert "cryptography" not in needs(["pyjwt"])[0]
    assert {"cryptography", "cffi"} <= set(needs(["pyjwt[crypto]"])[0])
    assert needs(["no-such-package-of-ours"]) == ({}, {"no-such-package-of-ours"})
    assert needs(["nowhere; python_version < '3'"]) == ({}, set())
