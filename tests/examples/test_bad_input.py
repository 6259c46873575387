"""What may go wrong around the bot: ports and files that are taken, floods, hostile words everywhere."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from tests.examples.test_demo import ARGS, CHROMIUM, FOLDER, Demo
from tests.examples.test_fastapi_bot import (
    ACCOUNT,
    APP,
    ASKS,
    AUTH_TOKEN,
    ENVIRONMENT,
    PAGE,
    chatting,
    free_port,
    running,
    token,
)  # fmt: skip
from twilio.request_validator import RequestValidator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ctxbridge import Bridge

TWILIO = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": AUTH_TOKEN}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


def started(folder, **settings):
    """The app as it is started, until it has ended by itself."""
    return subprocess.run(
        [sys.executable, str(APP)], cwd=folder, env=ENVIRONMENT | TWILIO | settings,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@contextmanager
def locked(path):
    """Somebody else has the file to themselves."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


class TestTaken:
    @pytest.mark.parametrize("setting", ["PORT", "MAIL_IN_PORT"])
    def test_a_port_that_is_taken_ends_the_start_and_is_named(self, tmp_path, setting):
        import socket

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            ports = {"PORT": str(free_port()), "MAIL_IN_PORT": str(free_port()), setting: port}
            done = started(
                tmp_path, MAIL_AUTHSERV_ID="mx.example.com", SMTP_HOST="127.0.0.1", **ports
            )
        assert done.returncode == 3
        assert f"('127.0.0.1', {port}): address already in use" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_database_that_is_locked_ends_the_start_and_is_named(self, tmp_path):
        with locked(tmp_path / "bot.db"):
            done = started(tmp_path, PORT=str(free_port()))
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        assert "bot.db: the store cannot be used now (SQLITE_BUSY)" in done.stderr
        assert "nothing was changed" in done.stderr

    def test_one_that_is_locked_later_asks_for_a_repetition_and_then_answers_once(self, tmp_path):
        with running(tmp_path, "twilio") as service:
            service.sms("SM01", "+15550100101", "Hello")
            service.providers.told("+15550100101")
            with locked(service.db):
                refused = service.sms("SM02", "+15550100101", "Hello again")
            again = service.sms("SM02", "+15550100101", "Hello again")

            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert again.status_code == 200
            assert service.providers.told("+15550100101", 2) == [ASKS, ASKS]
            assert len(service.stored("+15550100101")) == 4

    def test_a_mistake_in_the_code_keeps_its_traceback(self, tmp_path):
        """The control: what nobody foresaw is not told in one line."""
        mistaken = "import app, ctxbridge; ctxbridge.Bridge.__aenter__ = lambda _: 1 / 0; "
        mistaken += "import os, uvicorn; uvicorn.run(app.create(app.read_settings(os.environ)))"
        done = subprocess.run(
            [sys.executable, "-c", mistaken], cwd=FOLDER, capture_output=True, text=True, timeout=120,
            env=ENVIRONMENT | TWILIO | {"CTXBRIDGE_STORE": f"sqlite:///{tmp_path}/bot.db"}, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert "Traceback" in done.stderr
        assert "ZeroDivisionError" in done.stderr


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("flood"), "twilio", "chat") as started:
        yield started


class TestFlood:
    @pytest.mark.parametrize(
        "frame",
        [
            lambda n: {"type": "message", "client_msg_id": f"f{n}", "text": "me " * 500},
            lambda _: {"type": "typing"},
            lambda _: "{",
            lambda _: "x" * 60_000,
        ],
        ids=["messages", "typing", "garbage", "large"],
    )
    def test_a_page_that_floods_is_closed_and_nobody_else_notices(self, service, request, frame):
        """Another page is answered while it goes on."""
        name = request.node.callspec.id
        codes = []

        def flood():
            with connect(service.chat_url, origin=PAGE, max_queue=None) as line:
                line.send(
                    json.dumps({"type": "resume", "token": token(f"f-{name}"), "last_seq": 0})
                )
                try:
                    for number in range(5_000):
                        made = frame(number)
                        line.send(made if isinstance(made, str) else json.dumps(made))
                except ConnectionClosed as closed:
                    codes.append(closed.rcvd.code if closed.rcvd else None)

        flooding = threading.Thread(target=flood)
        flooding.start()
        with chatting(service, token(f"calm-{name}")) as page:
            page.say("1", "Hi")
            assert page.answer() == ASKS
        flooding.join(timeout=120)
        assert codes == [4429]
        service.sms(f"SM-{name}", "+15550100120", f"Is there still somebody? {name}")
        assert service.providers.told("+15550100120")[-1] == ASKS
        stored = service.stored(f"chat:f-{name}")
        assert len([1 for _, author, _ in stored if author == "contact"]) <= 40  # twice the burst


HOSTILE = (
    "<img src=x onerror=hacked=1><script>hacked=1</script><b>bold</b>{{7*7}}${7*7}'\"&lt;\u202e"
)


def secret(name):
    """What the demo's simulator signs with."""
    return re.search(rf'"{name}": "(.+)"', (FOLDER / "simulator.py").read_text()).group(1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo in which every field that somebody else fills holds markup."""
    started = Demo(tmp_path_factory.mktemp("demo") / "errors.txt")
    try:
        write_hostile(started)
        yield started
    finally:
        started.process.send_signal(signal.SIGINT)
        started.process.wait(timeout=60)
        os.close(started.terminal)
    assert "Traceback" not in started.log.read_text()


def write_hostile(demo):
    form = {"MessageSid": "SM-of-the-hostile", "From": "+15550100142", "To": "+15550100199",
            "Body": f"sms {HOSTILE}", "ProfileName": HOSTILE, "FromCity": HOSTILE, "NumMedia": "1",
            "MediaUrl0": f"https://api.twilio.com/{HOSTILE}", "MediaContentType0": f"image/{HOSTILE}"}  # fmt: skip
    url = f"{demo.url}/hooks/twilio"
    signed = RequestValidator(secret("TWILIO_AUTH_TOKEN")).compute_signature(url, form)
    assert httpx.post(url, data=form, headers={"X-Twilio-Signature": signed}).status_code == 200
    mail = {"From": "ann@example.org", "FromFull": {"Email": "ann@example.org", "Name": HOSTILE},
            "FromName": HOSTILE, "OriginalRecipient": "help@shop.example.com", "MessageID": HOSTILE,
            "Subject": f"subject {HOSTILE}", "TextBody": f"mail {HOSTILE}", "HtmlBody": HOSTILE,
            "Headers": [{"Name": "In-Reply-To", "Value": f"<{HOSTILE}@x>"}],
            "Attachments": [{"Name": f"{HOSTILE}.png", "Content": "AAAA", "ContentLength": 3,
                             "ContentType": "image/png"}]}  # fmt: skip
    login = tuple(secret("POSTMARK_CREDENTIALS").split(":"))
    assert httpx.post(f"{demo.url}/hooks/postmark", json=mail, auth=login).status_code == 200
    anyio.run(link_hostile, store_of(demo.process.pid))


def store_of(pid):
    """Where the demo stores: the file that its process has open."""
    files = [os.path.realpath(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return next(name for name in files if name.endswith("/demo.db"))


async def link_hostile(path):
    """What a team's own systems say is no more to be trusted."""
    async with Bridge(f"sqlite:///{path}", tenant="demo") as bridge:
        phone = "sms:+15550100142"
        await bridge.link(phone, f"chat:{HOSTILE}", evidence=f"evidence {HOSTILE}")
        await bridge.consent(phone, granted=True, evidence=HOSTILE)


async def opened(playwright, demo, change=None, *, linked=True):
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
    page = await browser.new_page()
    page.set_default_timeout(15_000)
    page.wrong = []
    page.on("console", lambda m: page.wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    if change:
        source = (FOLDER / "page" / "page.js").read_text()
        assert source != change(source)

        async def other(route):
            await route.fulfill(body=change(source), content_type="text/javascript")

        await page.route("**/page.js", other)
    await page.goto(demo.url)
    await page.locator("#timeline > li").first.wait_for()
    if linked:
        await page.locator("#links li", has_text="evidence").wait_for()
    await page.wait_for_timeout(500)
    return page


INJECTED = (
    "document.querySelectorAll('main img, main script, main b').length + (window.hacked ?? 0)"
)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
class TestHostile:
    async def test_markup_in_every_field_is_shown_as_it_was_written(self, demo):
        from playwright.async_api import async_playwright

        async with async_playwright() as playwright:
            page = await opened(playwright, demo)
            shown = await page.inner_text("main")
            assert await page.evaluate(INJECTED) == 0
            assert page.wrong == []
            markup = "<img src=x onerror=hacked=1><script>hacked=1</script>"
            for field in ("sms ", "mail ", "subject ", "chat:", "evidence "):
                assert f"{field}{markup}" in shown

    async def test_a_page_that_took_it_for_html_would_be_seen(self, demo):
        """The control."""
        from playwright.async_api import async_playwright

        def careless(source):
            return source.replace("made.textContent = text", "made.innerHTML = text")

        async with async_playwright() as playwright:
            page = await opened(playwright, demo, careless)
            assert await page.evaluate(INJECTED) > 0
