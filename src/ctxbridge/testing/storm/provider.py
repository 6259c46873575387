"""The providers, played by the driver: they take one message for each key."""

from collections import Counter
from random import Random
from typing import Any

from ctxbridge.testing.storm.plan import Plan


class Provider:
    """Knows what it was sent. Now and then it puts a message off, or its answer is lost."""

    def __init__(self, plan: Plan) -> None:
        self.sends: Counter[str] = Counter()
        self.texts: dict[str, str] = {}
        self._chance = Random(plan.seed + 2)
        self._mishaps = plan.mishaps

    async def take(self, what: Any) -> tuple[str, str]:
        """What a worker sends: the status to tell it, and our id of the message."""
        _, key, text = what
        mishap = self._chance.random()
        if mishap < self._mishaps / 2:
            return "retry", ""
        self.sends[key] += 1
        self.texts.setdefault(key, text)
        return ("unknown", "") if mishap < self._mishaps else ("sent", f"P{key}")

    def delivered(self) -> Counter[str]:
        """How often each of the customers' messages was answered to them."""
        found: Counter[str] = Counter()
        for text in self.texts.values():
            found.update(text.split())
        return found

    def repeated(self) -> int:
        """How often something came again under a key that was known."""
        return sum(count - 1 for count in self.sends.values())
