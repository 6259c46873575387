"""Forms in parts and urlencoded: read as others read them, and bounded."""

import random
import time
from email.parser import BytesParser
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from tests.channels.mail_posts import in_parts, post

from ctxbridge.channels.mail.forms import form_of, unquoted
from ctxbridge.model import RawRequest

LIMIT = 30 * 1024 * 1024


def parts(body: bytes, boundary: str = "B"):
    return form_of(post(body, f"multipart/form-data; boundary={boundary}"), LIMIT)


def test_fields_come_back_as_they_were_put_in_and_as_the_library_reads_them() -> None:
    chance = random.Random(1)
    for _ in range(200):
        fields = {
            f"f{n}": chance.randbytes(chance.randint(0, 60)).replace(b"\n--B", b"")
            for n in range(5)
        }
        body, kind = in_parts(fields, [("a", "x.bin", "a/b", b"1234")], "B")
        form = form_of(post(body, kind), LIMIT)
        assert {f.name: f.value for f in form.fields if not f.is_file} == fields
        assert [(f.name, f.filename, f.media_type, f.size) for f in form.files()] == [
            ("a", "x.bin", "a/b", 4)
        ]
        assert form.whole
        message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        theirs = [p.get_param("name", header="content-disposition") for p in message.get_payload()]
        assert theirs == [f.name for f in form.fields]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--B--', {"a": b"1"}),
        (b'preamble\r\n--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--B--\r\n', {"a": b"1"}),
        (b'--B\nContent-Disposition: form-data; name="a"\n\n1\n--B--\n', {"a": b"1"}),
        (b"--B  \r\ncontent-disposition:form-data;name=a\r\n\r\n\r\n--B--", {"a": b""}),
        (b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx --B y\r\n--B--', {"a": b"x --B y"}),
        (b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1', {}),
        (b'--B\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name="b"\r\n\r\n2\r\n--B--', {"b": b"2"}),
        (b'--B\r\nContent-Disposition: form-data; name="a"\r\n--B--', {}),
        (b"--B--", {}),
        (b"", {}),
    ],
    ids=range(10),
)  # fmt: skip
def test_odd_forms(body: bytes, found: dict[str, bytes]) -> None:
    form = parts(body)
    assert ({f.name: f.value for f in form.fields} if form else {}) == found


def test_what_may_have_been_added_is_not_the_only_one() -> None:
    field = b'--B\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    assert parts(field % (b"a", b"1") + b"--B--\r\n").only("a") == "1"
    assert parts(field % (b"a", b"1") + field % (b"a", b"1") + b"--B--").only("a") == ""
    assert (
        parts(field % (b"a", b"1") + b"--B--\r\n" + field % (b"a", b"2") + b"--B--").only("a") == ""
    )
    assert parts(field % (b"a", b"1") + field % (b"b", b"2")).only("a") == ""
    assert form_of(post(b"a=1&a=1", "application/x-www-form-urlencoded"), LIMIT).only("a") == ""


def test_percents_are_undone_as_the_library_does() -> None:
    chance = random.Random(2)
    for _ in range(500):
        data = chance.randbytes(chance.randint(0, 80))
        quoted = (
            quote_from_bytes(data, safe=chance.choice(("", "/", "=~"))).replace("%20", "+").encode()
        )
        assert unquoted(quoted) == data == unquote_to_bytes(quoted.replace(b"+", b" "))


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=" + "x" * 300,
        "text/html",
        "application/json",
    ],
)
def test_what_is_no_form_is_none(kind: str) -> None:
    assert form_of(post(b"--B--", kind), LIMIT) is None


def test_without_a_content_type_it_is_guessed() -> None:
    body, _ = in_parts({"a": "1"})
    assert form_of(RawRequest(body), LIMIT).text("a") == "1"
    assert form_of(RawRequest(b"a=1&b=%C3%A9"), LIMIT).text("b") == "é"


HOSTILE = {
    "boundaries": b"--B\r\n" * 200_000,
    "almost boundaries": b"\r\n--b" * 200_000,
    "fields": b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 20_000,
    "ends": b"--B--\r\n" * 200_000,
    "a header without an end": b"--B\r\n" + b"a: b\r\n" * 200_000,
    "a long name": b'--B\r\nContent-Disposition: form-data; name="' + b"x" * 1_000_000,
    "dashes": b"-" * 1_000_000,
    "lines": b"\r\n" * 500_000,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_60_hostile_parts_are_quick(body: bytes) -> None:
    assert min(_seconds(body, "multipart/form-data; boundary=B") for _ in range(3)) < 0.05


def test_60_and_so_are_percents_and_ampersands() -> None:
    kind = "application/x-www-form-urlencoded"
    for body in (
        b"a=" + b"%41" * 300_000,
        b"a=" + b"%" * 1_000_000,
        b"&" * 1_000_000,
        b"=" * 1_000_000,
    ):
        assert min(_seconds(body, kind) for _ in range(3)) < 0.05


def _seconds(body: bytes, kind: str) -> float:
    start = time.process_time()
    form_of(post(body, kind), LIMIT)
    return time.process_time() - start
