"""When providers repeat a webhook that was not answered with 200, as far as they tell.

Seconds after the first attempt; the facts are in the design notes on channels.
"""

from itertools import accumulate

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def _after(*pauses):
    return (0, *accumulate(pauses))


CALENDARS = {
    # 15 tries, doubling from 5 s to 81,920 s.
    "sinch": _after(*(5 * 2**n for n in range(15))),
    # 10 tries to 75 h 35 min.
    "standard webhooks": _after(
        5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR
    ),
    # One to five retries within seconds, and the fallback's address gets the message too.
    "twilio": (0, 1, 2, 4, 8, 15, 15),
    # At least once, unordered, for up to seven days.
    "meta": (0, 5, 60, 10 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, *(n * DAY for n in range(1, 8))),
    "postmark": _after(*(n * MINUTE for n in (1, 5, 10, 10, 10, 15, 30, 60, 120, 360))),
    "sendgrid": _after(*[8 * MINUTE] * 7, *[3 * HOUR] * 23),
    "mailgun": _after(*(n * MINUTE for n in (10, 10, 15, 30, 60, 120, 240))),
}

HORIZON_SECONDS = 10 * DAY
"""How long an id is remembered here: longer than any of them repeats, with what is late on its way."""
