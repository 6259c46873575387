"""The shipped script in a real browser, against a real server, over a line that breaks."""

import asyncio
import json
import os
import shutil
import socket
import time
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse

from ctxbridge import Address, Bridge
from ctxbridge.channels import WebChat
from ctxbridge.channels.webchat import Limits
from ctxbridge.chatting import chat
from ctxbridge.delivery.senders import WebChatSender
from ctxbridge.guards.guard import allow, guard
from ctxbridge.testing.proxy import Proxy
from tests.patience import until

CHROMIUM = os.environ.get("CTXBRIDGE_CHROMIUM") or shutil.which("chromium")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
CHANNEL = WebChat("s" * 32, app="shop")
PAGE = """<!doctype html><title>shop</title><script type="module">
import { Chat } from "/chat/client.js";
window.events = [];
window.Forgetful = class extends Chat {  // makes a new id whenever it sends again
  resendAll() {
    const known = [...this.unacked.values()];
    this.unacked.clear();
    for (const frame of known) this.keep({ ...frame, client_msg_id: crypto.randomUUID() });
  }
};
window.start = (sub, Kind = Chat) => {
  const token = async () => (await fetch("/token?sub=" + sub)).text();
  window.chat = new Kind("ws://" + location.host + "/chat/", { token, firstWait: 50 });
  for (const name of ["message", "change", "draft", "typing", "ack", "failed", "status", "reset", "error"])
    window.chat.on(name, (value) => window.events.push([name, JSON.parse(JSON.stringify(value ?? null))]));
};
window.texts = (author) => chat.messages.filter((m) => !m.deleted && (!author || m.author === author)).map((m) => m.text);
window.Chat = Chat;
</script>"""


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


def now():
    return time.time_ns() // 1_000_000


class Shop:
    """A running service: its bridge, the line to it, and what its agent and guard do."""

    def __init__(self, bridge, proxy, port):
        self.bridge = bridge
        self.proxy = proxy
        self.site = f"http://127.0.0.1:{proxy.port}"
        self.straight = f"http://localhost:{port}"

    async def stored(self, subject="ann"):
        context = await self.bridge.context(Address("chat", subject), window=0, fresh=True)
        return [(m.author, m.text) for m in context.messages]


async def echo(turn):
    return f"re: {turn.inbound.text}"


def service(bridge, agent, origin, limits):
    app = FastAPI()
    app.mount("/chat", chat(bridge, CHANNEL, agent, origins=[origin], limits=limits))

    @app.get("/")
    async def page():
        return HTMLResponse(PAGE)

    @app.get("/token")
    async def token(sub: str):
        return PlainTextResponse(CHANNEL.token(sub, now=now(), login=True))

    return app


@asynccontextmanager
async def shop(tmp_path, agent=echo, guards=(), limits=None):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        port = listening.getsockname()[1]
        options = {"tenant": "acme", "senders": [WebChatSender()], "guards": list(guards)}
        async with (
            Bridge(f"sqlite:///{tmp_path}/shop.db", **options) as bridge,
            Proxy("127.0.0.1", port) as proxy,
        ):
            origin = f"http://127.0.0.1:{proxy.port}"
            config = uvicorn.Config(
                service(bridge, agent, origin, limits),
                log_level="warning",
                ws="auto",
                lifespan="off",
            )
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            # What listens takes connections already; they are answered once the server has started.
            yield Shop(bridge, proxy, port)
            server.should_exit = True
            server.force_exit = True
            await serving
            # Whoever exits by force leaves connections that the browser has opened in advance.
            for connection in list(server.server_state.connections):
                connection.transport.close()
            await asyncio.sleep(0)


@pytest.fixture(scope="module")
async def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or set CTXBRIDGE_CHROMIUM")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        await browser.close()


async def opened(browser, site, subject="ann", kind="Chat"):
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(60_000)
    await page.goto(site)
    await page.wait_for_function("!!window.start")
    await page.evaluate(f"start({json.dumps(subject)}, {kind})")
    return page


async def shows(page, texts, author=""):
    """Wait until the page shows these texts, in this order."""
    wanted = f"JSON.stringify(texts({json.dumps(author)})) === {json.dumps(json.dumps(texts, separators=(',', ':')))}"
    await page.wait_for_function(wanted)


def cutting(line):
    """A guard that cuts the line in the moment in which the first message has come in."""

    @guard("inbound", name="cutting", early=True)
    def cut(_check):
        if line:
            line.pop().reset_all()
        return allow()

    return cut


async def test_a_person_chats(browser, tmp_path):
    async with shop(tmp_path) as here:
        page = await opened(browser, here.site)
        await page.evaluate("chat.send('Hello & <b>welcome</b>')")
        await shows(page, ["Hello & <b>welcome</b>", "re: Hello & <b>welcome</b>"])
        await page.wait_for_function("chat.unacked.size === 0")
        events = [name for name, _ in await page.evaluate("events")]
        assert {"message", "change", "typing", "ack", "status"} <= set(events)
        assert await page.evaluate("chat.messages.map((m) => [m.seq, m.author, m.state])") == [
            [1, "contact", "stored"], [2, "agent", None],
        ]  # fmt: skip

        await page.evaluate("chat.edit(chat.messages[0].client_msg_id, 'Hello')")
        await page.evaluate("chat.react(2, '👍'); chat.read()")
        await page.wait_for_function("chat.unacked.size === 0")
        context = await here.bridge.context("chat:ann", window=0, fresh=True)
        assert context.as_chat()[0]["content"] == "Hello"

        async def is_read():
            found = await here.bridge.outbox.known_as("2", CHANNEL.endpoint, Address("chat", "ann"))
            return found.status == "read"

        await until(is_read)


async def test_82_what_was_not_acknowledged_is_sent_again_and_there_once(browser, tmp_path):
    line = []
    async with shop(tmp_path, guards=[cutting(line)]) as here:
        page = await opened(browser, here.site)
        await page.wait_for_function("chat.status === 'open'")
        line.append(here.proxy)
        await page.evaluate("chat.send('once')")
        await shows(page, ["once", "re: once"])
        await page.wait_for_function("chat.unacked.size === 0 && chat.status === 'open'")
        assert here.proxy.connections >= 2
        assert ["status", "connecting"] in await page.evaluate("events.slice(2)")
        assert await here.stored() == [("contact", "once"), ("agent", "re: once")]
        await shows(page, ["once", "re: once"])


async def test_82_the_control_that_makes_new_ids_doubles_it(browser, tmp_path):
    """The same line and a page that does not keep its ids: the test above can fail."""
    line = []
    async with shop(tmp_path, guards=[cutting(line)]) as here:
        page = await opened(browser, here.site, kind="Forgetful")
        await page.wait_for_function("chat.status === 'open'")
        line.append(here.proxy)
        await page.evaluate("chat.send('once')")
        await page.wait_for_function("texts('agent').length === 2")
        assert [text for _, text in await here.stored()].count("once") == 2


async def test_82_what_came_while_the_line_was_down_is_shown_in_its_order(browser, tmp_path):
    async with shop(tmp_path) as here:
        page = await opened(browser, here.site)
        await page.evaluate("chat.send('Hello')")
        await shows(page, ["Hello", "re: Hello"])
        here.proxy.down = True
        here.proxy.reset_all()
        await page.wait_for_function("chat.status === 'connecting'")
        await here.bridge.send("chat:ann", "first")
        await here.bridge.send("chat:ann", "second")
        await page.evaluate("chat.send('written on the train')")
        here.proxy.down = False
        await shows(page, ["Hello", "re: Hello", "first", "second", "written on the train",
                           "re: written on the train"])  # fmt: skip
        # A page that is loaded anew is shown the same.
        again = await opened(browser, here.site)
        await shows(again, await page.evaluate("texts()"))


async def test_82_a_line_that_is_dead_and_does_not_say_so_is_noticed(browser, tmp_path):
    """No reset and no close: what is sent vanishes, and so does what would come."""
    async with shop(tmp_path, limits=Limits(heartbeat_seconds=0.3)) as here:
        page = await opened(browser, here.site)
        await page.wait_for_function("chat.status === 'open'")
        here.proxy.lose(1, "blackhole")
        await page.evaluate("chat.send('Hello')")
        await shows(page, ["Hello", "re: Hello"])
        await page.wait_for_function("chat.unacked.size === 0")
        assert here.proxy.lost == 1
        assert here.proxy.connections >= 2
        assert await here.stored() == [("contact", "Hello"), ("agent", "re: Hello")]


async def test_82_two_tabs_show_the_same_and_a_third_person_nothing(browser, tmp_path):
    async with shop(tmp_path) as here:
        one, two = [await opened(browser, here.site) for _ in range(2)]
        other = await opened(browser, here.site, "bob")
        await other.wait_for_function("chat.status === 'open'")
        await two.wait_for_function("chat.status === 'open'")
        await one.evaluate("chat.send('Hello')")
        for page in (one, two):
            await shows(page, ["Hello", "re: Hello"])
        await two.evaluate("chat.delete(chat.messages[0].client_msg_id)")
        await shows(one, ["re: Hello"])
        await other.evaluate("chat.send('Hi')")
        await shows(other, ["Hi", "re: Hi"])


async def test_82_a_page_of_another_site_is_not_let_in(browser, tmp_path):
    async with shop(tmp_path) as here:
        page = await opened(browser, here.straight)
        await page.wait_for_function("chat.tries >= 2")
        assert await page.evaluate("events.filter(([name, v]) => v === 'open').length") == 0
        assert await here.stored() == []


async def test_drafts_are_shown_and_taken_away(browser, tmp_path):
    async def streaming(turn):
        async def words():
            for n in range(60):
                yield f"word {n} "
                await asyncio.sleep(0.002)

        await turn.stream(words())

    async with shop(tmp_path, streaming) as here:
        page = await opened(browser, here.site)
        await page.evaluate("chat.send('Hello')")
        await page.wait_for_function("texts('agent').length === 1")
        drafts = [v for name, v in await page.evaluate("events") if name == "draft"]
        assert drafts[-1] is None
        texts = [draft["text"] for draft in drafts if draft]
        assert texts == sorted(texts, key=len)
        assert texts[0].startswith("word 0")
