"""The page of the demo over 200 conversations: it builds what can be seen, and asks for nothing more."""

import pytest
from tests.examples.test_bad_input import opened, store_of
from tests.examples.test_demo import CHROMIUM, texts, without_a_word

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text

MANY = 200
MOST_ROWS = 16  # four can be seen, three are spare at each side, and where the keyboard is
US = Endpoint("sms", "+15550100199")


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def demo(tmp_path_factory):
    """A demo whose store another process has written 200 conversations into, by the bridge."""
    with without_a_word(tmp_path_factory.mktemp("many")) as started:
        await write_many(store_of(started.process.pid))
        yield started


async def write_many(path):
    async def answer(turn):
        return f"An answer to {turn.inbound.sender.value}"

    bridge = Bridge(f"sqlite:///{path}", tenant="demo")
    bridge.deploy("shop@v2", answer)
    async with bridge:
        for number in range(MANY):
            await bridge.answer(says(number, f"Question {number}"), bridge.deployed)


def says(number, text, id=""):
    sender = Address("sms", f"+1555020{number:04}")
    return Inbound("sms", US, sender, id or f"many-{number}", (Text(text),), Assurance.CHANNEL)


@pytest.fixture(scope="module")
async def page(demo):
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or set CTXBRIDGE_CHROMIUM")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        page = await opened(playwright, demo, linked=False)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        await page.locator("#people-count", has_text=f"{MANY + 1} conversations").wait_for()
        yield page
        await page.context.browser.close()


ROWS = "#people [role=option]"
SMOOTHLY = """async () => {
  const list = document.querySelector("#people");
  let most = 0;
  for (let top = 0; top < list.scrollHeight; top += 90) {
    list.scrollTop = top;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    most = Math.max(most, list.querySelectorAll("[role=option]").length);
  }
  return most;
}"""


class TestMany:
    """In this order: one page."""

    async def test_of_all_only_what_can_be_seen_is_there(self, page):
        rows = page.locator(ROWS)
        assert 4 <= await rows.count() <= MOST_ROWS
        assert await rows.first.get_attribute("aria-setsize") == str(MANY + 1)
        assert (await texts(page, ROWS))[0].startswith("sms:+15550200199")  # the latest
        nodes = await page.evaluate("document.querySelectorAll('*').length")
        assert nodes < 1_000, nodes

    async def test_scrolling_through_all_builds_few_rows_and_asks_for_nothing(self, page):
        before = len(page.asked)
        assert await page.evaluate(SMOOTHLY) <= MOST_ROWS
        assert page.asked[before:] == []
        assert "Ann’s phone" in (await texts(page, ROWS))[-1]

    async def test_the_keyboard_goes_through_them_and_chooses_one(self, page):
        await page.locator("#people").focus()
        for key in ("Home", "ArrowDown", "PageDown", "End", "ArrowUp"):
            await page.keyboard.press(key)
            place = await page.evaluate(ACTIVE)
            assert place["seen"], key
        assert place["posinset"] == str(MANY)
        before = len(page.asked)
        await page.keyboard.press("Enter")
        await page.locator("#timeline .text", has_text="Question 0").wait_for()
        assert [url.partition("?")[0][-4:] for url in page.asked[before:]] == ["live"]
        assert await texts(page, "#links small >> nth=0") == ["sms:+15550200000 · channel"]
        assert await texts(page, f"{ROWS}[aria-selected=true] span") == ["sms:+15550200000"]
        assert await page.evaluate("document.activeElement.id") == "people"

    async def test_who_answered_is_told_with_its_release(self, page):
        assert "release shop@v2" in await texts(page, "#timeline .tag")

    async def test_who_writes_goes_up_and_what_was_chosen_stays(self, page, demo):
        async with Bridge(f"sqlite:///{store_of(demo.process.pid)}", tenant="demo") as bridge:
            await bridge.accept(says(7, "One more thing", "more-7"))
        await page.locator("#people").press("Home")
        await page.locator(ROWS, has_text="One more thing").wait_for()
        assert "One more thing" in (await first(page))
        assert "Question 0" in await texts(page)

    async def test_nothing_was_wrong(self, page):
        assert page.wrong == []

    async def test_a_list_that_builds_all_would_be_seen(self, demo, page):
        """The control."""
        from playwright.async_api import async_playwright

        def whole(source):
            return source.replace("const SPARE = 3;", "const SPARE = 1e6;")

        async with async_playwright() as playwright:
            careless = await opened(playwright, demo, whole, linked=False)
            await careless.locator("#people-count", has_text=f"{MANY + 1} conv").wait_for()
            assert await careless.locator(ROWS).count() > MOST_ROWS


async def first(page):
    """The row that stands on top."""
    return await page.locator(f"{ROWS}[aria-posinset='1']").inner_text()


# Where the keyboard is, and whether that can be seen.
ACTIVE = """() => {
  const list = document.querySelector("#people");
  const row = document.getElementById(list.getAttribute("aria-activedescendant"));
  const [a, b] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
  return { posinset: row.getAttribute("aria-posinset"), seen: b.top >= a.top - 2 && b.bottom <= a.bottom + 2 };
}"""
