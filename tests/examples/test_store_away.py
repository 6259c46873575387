"""A server of the store that goes away under the running demo, and comes back."""

import pytest
from tests.examples.test_bad_input import opened
from tests.examples.test_demo import CHROMIUM, Demo, send, texts
from tests.patience import until

from ctxbridge.testing.servers import Server, binaries

VALKEY = binaries().get("valkey") or binaries().get("redis")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
@pytest.mark.skipif(VALKEY is None, reason="no valkey and no redis here")
async def test_the_page_says_so_and_goes_on_by_itself(tmp_path):
    from playwright.async_api import async_playwright

    with Server(VALKEY, "--appendonly", "yes", "--appendfsync", "always") as server:
        demo = Demo(tmp_path / "errors.txt", "--store", f"{server.url}/0")
        try:
            async with async_playwright() as playwright:
                page = await opened(playwright, demo, linked=False)
                await page.locator("#line", has_text="Live.").wait_for()
                before = await texts(page)

                server.kill()
                away = page.locator("#line.away", has_text="The store is away")
                await away.wait_for()
                await send(page, "phone", "By phone: are you back?")
                await send(page, "mailbox", "By mail: are you back?")
                await send(page, "chat", "In the chat: are you back?")
                await page.wait_for_timeout(1_500)
                assert await away.count() == 1
                assert await texts(page) == before

                server.restart()
                await page.locator("#line", has_text="Live.").wait_for()
                for said in ("By phone", "By mail", "In the chat"):
                    await page.locator("#timeline .text", has_text=f"{said}: are").wait_for()

                async def answered():
                    # At least one answer: who writes at once is answered at once.
                    waits = page.locator("#timeline .tag", has_text="pending")
                    return len(await texts(page)) > len(before) + 3 and not await waits.count()

                await until(answered)
                await page.wait_for_timeout(2_500)  # and nothing comes twice
                after = (await texts(page))[len(before) :]
                assert sorted(text for text in after if "are you back?" in text) == [
                    "By mail: are you back?", "By phone: are you back?",
                    "In the chat: are you back?",
                ]  # fmt: skip
                assert len(after) > 3
                assert await page.locator("#timeline .tag", has_text="pending").count() == 0
                assert page.wrong == []
        finally:
            demo.end()
    assert "Traceback" not in demo.log.read_text()
