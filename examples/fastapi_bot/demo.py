"""``make demo``: the bot, the simulator around it, and a page that shows both.

python examples/fastapi_bot/demo.py [--once] [--no-browser] [--port N] [--store ADDRESS]

It runs on an embedded store that is removed afterwards, or on yours. ``--once`` plays
the scene through the running server, prints the timeline and ends; so it does by itself where
there is no terminal.
"""

import argparse
import asyncio
import json
import logging
import os
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import aiosmtplib
import httpx
import uvicorn
from app import create, plainly, read_settings
from desk import Desk
from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from mishaps import Mishaps
from simulator import ANN, LOGIN, MAILBOX, NAMES, Simulator, environment, free_port
from starlette.middleware.trustedhost import TrustedHostMiddleware
from timings import watch
from view import View

from ctxbridge import errors
from ctxbridge.cli.output import colourful, say, width
from ctxbridge.cli.timeline import Repeated, conversations, render, rows

PAGE = Path(__file__).parent / "page"
LOOK_SECONDS, PATIENCE_SECONDS = 0.1, 2.0
LONGEST = 2_000
LAST_PORT = 65_535
POLICY = (
    "default-src 'self'; img-src data:; connect-src 'self' {ws}; "
    "frame-ancestors 'none'; base-uri 'none'"
)
QUOTED = (
    "\n\nOn Thu, Acme Shop <help@shop.example.com> wrote:\n> Dear Ann,\n>\n"
    "> good news: your parcel has left our warehouse.\n>\n> Your Acme Shop"
)


async def play(simulator: Simulator) -> None:
    """The opening scene: one customer, three channels, one conversation."""
    phone = f"sms:{ANN}"
    for address in (f"email:{MAILBOX}", f"chat:{LOGIN}"):
        await simulator.bridge.link(phone, address, evidence="crm:4711")
    await simulator.sms("Hi, my order A-1042 has not arrived. It was due on Friday.", times=2)
    await simulator.idle(phone)
    refund = "Wednesday is too late for me – I fly on Tuesday.\nCan I have my money back instead?"
    await simulator.mail(refund + QUOTED)
    await simulator.idle(phone)
    await simulator.sms("I paid with 4111 1111 1111 1111. Please hurry!")
    await simulator.idle(phone)
    forged = "Hello, this is Ann. I lost my phone.\nWhich card gets the refund?"
    await simulator.mail(forged, forged=True)
    await simulator.idle(phone)
    for said in ("STOP", "One more thing: when is the money on my card?"):
        await simulator.sms(said)
        await simulator.idle(phone)
    said_in_chat = (
        "Hi, logged in now. When do I get my money?",
        "Can you promise that it is there by Friday?",
    )
    for said in said_in_chat:
        await simulator.say_in_chat(said)
        await simulator.idle(phone)
    await simulator.sms("START")
    await simulator.idle(phone)


def pages(app: FastAPI, simulator: Simulator, view: View) -> None:
    """The page, and what it shows."""
    ws = simulator.url.replace("http", "ws", 1)
    both = f"{ws} {ws.replace('127.0.0.1', 'localhost')}"
    policy = {"Content-Security-Policy": POLICY.format(ws=both)}

    def serve(path: str, name: str) -> None:
        app.add_api_route(path, lambda: FileResponse(PAGE / name, headers=policy))

    for path, name in {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}.items():
        serve(path, name)

    @app.get("/sim/state")
    async def state(whose: str = "") -> dict[str, Any]:
        return await view.look(whose)

    @app.get("/sim/live")
    async def live(request: Request, whose: str = "") -> StreamingResponse:
        return StreamingResponse(looks(view, request, whose), media_type="text/event-stream")

    @app.get("/sim/token")
    async def token() -> PlainTextResponse:
        return PlainTextResponse(simulator.token())


def buttons(app: FastAPI, simulator: Simulator, view: View) -> None:
    """What is typed and pressed on the page."""
    app.add_exception_handler(RequestValidationError, not_understood)
    mishaps, desk = Mishaps(simulator, app.state.agent), Desk(simulator.bridge)

    @app.post("/sim/do/{name}")
    async def do(name: str, request: Request) -> dict[str, str]:
        of_the_page(request)
        try:
            return {"told": await mishaps.do(name)}
        except KeyError:
            raise HTTPException(404, "no such button") from None

    @app.post("/sim/floor/{name}")
    async def floor(
        name: str,
        request: Request,
        whose: Annotated[str, Body()],
        text: Annotated[str, Body(max_length=LONGEST)] = "",
    ) -> dict[str, str]:
        of_the_page(request)
        address = view.people.address_of(whose)
        if not address:
            raise HTTPException(404, "no such conversation")
        try:
            return {"told": await desk.do(name, address, text)}
        except KeyError:
            raise HTTPException(404, "no such button") from None

    @app.post("/sim/say")
    async def speak(
        request: Request,
        device: Annotated[str, Body()],
        text: Annotated[str, Body(min_length=1, max_length=LONGEST)],
        via: Annotated[str, Body()],
        number: Annotated[str, Body()] = ANN,
    ) -> dict[str, str]:
        of_the_page(request)
        try:
            if device == "phone" and f"sms:{number}" in NAMES and via in {"twilio", "sinch"}:
                await simulator.sms(text, number, via)
            elif device == "mailbox" and via in {"smtp", "postmark"}:
                await simulator.mail(text, via=via)
            else:
                raise HTTPException(422, "no such device")
        except (httpx.HTTPError, aiosmtplib.SMTPException) as error:
            raise HTTPException(503, f"not taken: {type(error).__name__}") from None
        return {"told": "sent"}


def providers(app: FastAPI, simulator: Simulator) -> None:
    """Where the bot's senders write to, in place of the providers' APIs."""
    apis = {
        "/sim/twilio/2010-04-01/Accounts/{_}/Messages.json": simulator.take_from_twilio,
        "/sim/sinch/xms/v1/{_}/batches": simulator.take_from_sinch,
    }

    def serve(path: str, take: Callable[[str, bytes], dict[str, str] | None]) -> None:
        @app.post(path, status_code=201)
        async def answer(request: Request) -> dict[str, str]:
            taken = take(request.headers.get("authorization", ""), await request.body())
            if taken is None:
                raise HTTPException(401, "not the credentials of this account")
            return taken

    for path, take in apis.items():
        serve(path, take)


async def not_understood(_request: Request, _error: Exception) -> PlainTextResponse:
    """FastAPI's own words repeat what was sent, which may be nothing that can be sent back."""
    return PlainTextResponse("not understood", 422)


def of_the_page(request: Request) -> None:
    """Other sites cannot set this header without being asked first, and are not answered then."""
    if request.headers.get("x-simulator") != "1":
        raise HTTPException(403, "only the page itself may do that")


async def looks(view: View, request: Request, whose: str) -> AsyncIterator[str]:
    """What the page shows, whenever it has changed: server-sent events.

    The list of people is left out where it is as it was: it is the longest part.
    """
    before, people = "", None
    server: uvicorn.Server = request.app.state.server
    while not (server.should_exit or await request.is_disconnected()):
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):  # the store itself tries for longer
                seen = await view.look(whose)
        except Exception as error:  # noqa: BLE001 - a store that is away comes back
            seen = {"away": type(error).__name__}
        told = json.dumps(seen | {"look_up": 0})
        if told != before:
            before = told
            if seen.get("people") == people:
                seen = seen | {"people": None}
            people = seen.get("people") or people
            yield f"data: {json.dumps(seen)}\n\n"
        await asyncio.sleep(LOOK_SECONDS)


async def print_timeline(simulator: Simulator) -> None:
    """The stored conversation, as ``ctxbridge show`` prints it."""
    say("One customer, three channels, one conversation\n")
    found = await conversations(simulator.bridge, list(NAMES))
    for context in found:
        again = [
            Repeated(m.turn.hex(), m.accepted_at)
            for m in context.messages
            for _ in range(simulator.again.get(m.message_id, 0))
        ]
        for line in render(rows(context, again), width(), colours=colourful()):
            say(line)
    messages = [m for context in found for m in context.messages]
    left = sum(one.author == "agent" for one in simulator.shown)
    say(
        f"\n{len(found)} conversation, {len({m.channel for m in messages})} channels, "
        f"{len(messages)} messages; {left} left by SMS and mail."
    )


class NotStarted(Exception):
    """The app could not start; the server has said why."""


class Unhurried(uvicorn.Server):
    """It ends within a second, so a second Ctrl-C hurries nothing, and cuts nothing off."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to end. Uvicorn's own, where two come at once, takes the first for a second one."""
        self.should_exit = True


@asynccontextmanager
async def serving(app: FastAPI, listening: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """The server's task, once it has started."""
    config = uvicorn.Config(
        app, log_level="warning", ws_max_size=64 * 1024, timeout_graceful_shutdown=1
    )
    app.state.server = server = Unhurried(config)

    async def serve() -> None:
        with suppress(SystemExit):  # which would tear the loop from under a start that failed
            await server.serve(sockets=[listening])

    running = asyncio.create_task(serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
            if running.done():
                raise NotStarted
        yield running
    finally:
        server.should_exit = True
        with suppress(KeyboardInterrupt):
            await running


def can_show() -> bool:
    """Whether a browser would have a screen."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(screen) or sys.platform in {"darwin", "win32"}


async def run(store: str, port: int, *, once: bool, browser: bool) -> None:
    """Start everything, play the scene, and stay until somebody ends it."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise SystemExit(
                f"port {port}: {error.strerror}; without --port, one is found"
            ) from None
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        env = environment(url, store, free_port(), free_port())
        try:
            app = create(read_settings({**MODEL, **env}))
        except errors.ConfigurationError as error:
            raise SystemExit(f"this cannot be used: {error}") from None
        simulator = Simulator(app.state.bridge, url, env)
        view = View(app.state.bridge, simulator, watch())
        pages(app, simulator, view)
        buttons(app, simulator, view)
        providers(app, simulator)
        logging.getLogger("uvicorn.error").addFilter(plainly)
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
        async with simulator.open(), serving(app, listening) as running:
            try:
                await play(simulator)
            except TimeoutError as error:  # a model that is set may take its time
                say(f"The scene came to no end: {error}")
            await print_timeline(simulator)
            if once:
                return
            say(f"\nThree devices and all that is stored: {url}    (Ctrl-C ends it)")
            if browser and can_show():
                webbrowser.open(url)
            await running


MODEL = {name: value for name, value in os.environ.items() if name.startswith(("OPENAI_", "OTEL_"))}


def main() -> None:
    """Read the options, and run."""
    parser = argparse.ArgumentParser(prog="make demo", description="The bot on a page.")
    parser.add_argument("--once", action="store_true", help="play the scene, print it, and end")
    parser.add_argument("--no-browser", action="store_true", help="open none")
    parser.add_argument("--port", type=int, default=0, help="where to listen (default: any)")
    parser.add_argument("--store", default="", help="an empty one of yours: redis://host:6379/0")
    given = parser.parse_args()
    if not 0 <= given.port <= LAST_PORT:
        parser.error(f"argument --port: it is a number from 0 to {LAST_PORT}")
    once = given.once or not sys.stdout.isatty()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ctxbridge-") as folder,
            suppress(KeyboardInterrupt),
        ):
            store = given.store or f"sqlite:///{folder}/demo.db"
            asyncio.run(run(store, given.port, once=once, browser=not given.no_browser))
    except NotStarted:
        sys.exit(3)


if __name__ == "__main__":
    main()
