"""What a storm does, and what came of it."""

from typing import Any, Literal

from msgspec import Struct

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Address, Endpoint

CHANNELS = ("sms", "chat")
US = {channel: Endpoint(channel, "us") for channel in CHANNELS}


class Plan(Struct, frozen=True, kw_only=True):
    """The weather. Times are in seconds.

    `messages` are written by `writers` to `customers` conversations, alternating over two channels
    that are one conversation, each delivered up to `copies` times at once. `kills` workers are
    killed, one every `kill_seconds`, and `freezes` are stopped for longer than their lease; it is
    written on until all of that has happened. `at_most_once` makes the provider take no key.
    `mishaps` is the share of sends that the provider puts off, or whose answer is lost. `seconds`
    is how long all of this may take, `settle_seconds` how long what is left in the end. `store`
    are options of the store, `variant` is one that is broken on purpose.
    """

    url: str
    messages: int = 400
    customers: int = 8
    writers: int = 16
    workers: int = 4
    copies: int = 3
    kills: int = 0
    freezes: int = 0
    seconds: float = 60.0
    think_seconds: float = 0.01
    lease_seconds: float = 0.5
    settle_seconds: float = 20.0
    pace_seconds: float = 0.0
    kill_seconds: float = 0.05
    mishaps: float = 0.0
    overlap: Literal["merge", "queue", "supersede"] = "merge"
    at_most_once: bool = False
    seed: int = 7
    variant: str = "real"
    tenant: str = "storm"
    store: dict[str, Any] = {}

    def __post_init__(self) -> None:
        least = min(self.messages, self.customers, self.writers, self.workers, self.copies)
        times = (
            self.kills, self.freezes, self.think_seconds, self.settle_seconds, self.pace_seconds,
            self.kill_seconds,
        )  # fmt: skip
        if least < 1 or min(times) < 0 or not self.seconds > 0 or not 0 <= self.mishaps <= 0.5:
            raise ConfigurationError(
                "messages, customers, writers, workers, copies and seconds must be positive, "
                "mishaps from 0 to 0.5, and nothing negative"
            )
        if not 0.05 <= self.lease_seconds <= 60 or self.copies > 100 or self.workers > 100:
            raise ConfigurationError(
                "lease_seconds is from 0.05 to 60, and there are at most 100 workers and copies"
            )

    @property
    def in_process(self) -> bool:
        """Whether the workers must share one process, because the store is in its memory."""
        return self.url.startswith("memory:")

    def addresses(self, customer: int) -> dict[str, Address]:
        """How a customer is named on each channel."""
        return {
            "sms": Address("sms", f"+1555010{customer:04d}"),
            "chat": Address("chat", f"customer-{customer}"),
        }


class Account(Struct, kw_only=True):
    """What came of a storm. `problems` are in words; an empty list is a good day.

    `answered` of the messages have a reply in the log. `lost` are those that were acknowledged and
    are not, `duplicated` those that were stored, answered or delivered more than once. `unsent`
    were answered and have not reached the provider. `sent` messages have reached it; `repeated`
    came there again under a key that it knew; of `unknown` ones nobody can say whether they did.
    `killed_at` counts the turns of killed workers by how far they were, and the workers that had
    none. `errors` counts what webhooks were told before they were repeated.
    """

    written: int = 0
    answered: int = 0
    lost: int = 0
    duplicated: int = 0
    unsent: int = 0
    sent: int = 0
    repeated: int = 0
    unknown: int = 0
    turns: int = 0
    webhooks: int = 0
    kills: int = 0
    freezes: int = 0
    killed_at: dict[str, int] = {}
    errors: dict[str, int] = {}
    seconds: float = 0.0
    problems: list[str] = []

    @property
    def good(self) -> bool:
        """Whether nothing was lost or duplicated, and the log is whole."""
        return not (self.lost or self.duplicated or self.unsent or self.problems)
