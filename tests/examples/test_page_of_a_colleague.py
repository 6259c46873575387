"""The page of the demo as a colleague has it open: long conversations, quick clicks, words half written."""

import pytest
from tests.examples.test_bad_input import opened, store_of
from tests.examples.test_demo import CHROMIUM, texts, without_a_word
from tests.examples.test_page_of_many import says

from ctxbridge import Bridge

LONG = 60  # turns, of two entries each: more than the page shows
ROWS = "#people [role=option]"
CHOSEN = f"{ROWS}[aria-selected=true] span"


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def demo(tmp_path_factory):
    """A demo in which two more have written, the second one a lot."""
    with without_a_word(tmp_path_factory.mktemp("colleague")) as started:
        await write(started, says(1, "A short question"))
        await write(started, *[says(2, f"Question {n}", f"long-{n}") for n in range(LONG)])
        yield started


async def write(demo, *messages):
    async def answer(turn):
        return f"An answer to {turn.inbound.text}"

    async with Bridge(f"sqlite:///{store_of(demo.process.pid)}", tenant="demo") as bridge:
        for one in messages:
            await bridge.answer(one, answer)


@pytest.fixture
async def page(demo):
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or set CTXBRIDGE_CHROMIUM")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        page = await opened(playwright, demo, linked=False)
        await page.locator("#people-count", has_text="3 conversations").wait_for()
        yield page
        await page.context.browser.close()


async def choose(page, number):
    await page.locator(ROWS, has_text=f"+1555020{number:04}").click()
    await page.locator(CHOSEN, has_text=f"+1555020{number:04}").wait_for()


async def test_of_a_long_conversation_what_stays_is_not_built_anew(demo, page):
    await choose(page, 2)
    last = page.locator("#timeline > li", has_text=f"An answer to Question {LONG - 1}")
    await last.wait_for()
    await last.locator("summary").click()
    await page.evaluate("window.last = document.querySelector('#timeline > li:last-child')")
    assert await page.locator("#timeline > li").count() == 100

    await write(demo, says(2, "One more", "long-more"))

    await page.locator("#timeline .text").get_by_text("An answer to One more").wait_for()
    assert await page.locator("#timeline > li").count() == 100
    assert await page.evaluate(
        "window.last.isConnected && window.last.querySelector('details').open"
    )
    assert await page.locator("#timeline details[open]").count() == 1
    assert (
        await page.locator("#timeline > li.fresh").count() <= 4
    )  # two, each as it came and as it is
    assert page.wrong == []


async def test_who_was_clicked_last_is_shown(page):
    await choose(page, 1)
    await page.evaluate(QUICKLY, ["+15550200002", "+15550200001"])
    await page.wait_for_timeout(1_000)
    assert await texts(page, CHOSEN) == ["sms:+15550200001"]
    assert "A short question" in await texts(page, "#timeline .text")


async def test_words_for_one_customer_are_not_left_for_the_next(page):
    await choose(page, 1)
    await page.click("#floor-take")
    await page.fill("#floor-text", "Only for the first one")
    await page.fill("#floor-note", "A note about the first one")
    await choose(page, 2)
    await page.wait_for_timeout(300)
    assert await page.input_value("#floor-text") == ""
    assert await page.input_value("#floor-note") == ""


async def test_words_that_did_not_leave_are_still_there_and_none_are_no_message(page):
    await choose(page, 1)
    if await page.locator("#floor-take").is_visible():
        await page.click("#floor-take")
    before = await texts(page, "#timeline .text")
    await page.fill("#floor-text", "   ")
    await page.press("#floor-text", "Enter")
    await page.route("**/sim/floor/say", lambda route: route.abort())
    await page.fill("#floor-text", "Long and well considered")
    await page.press("#floor-text", "Enter")
    await page.locator("#told", has_text="That did not work").wait_for()
    assert await page.input_value("#floor-text") == "Long and well considered"
    assert await texts(page, "#timeline .text") == before


# Clicks on the rows of these, with no time between them.
QUICKLY = """(names) => {
  const rows = [...document.querySelectorAll("#people [role=option]")];
  for (const name of names) rows.find((row) => row.textContent.includes(name)).click();
}"""
