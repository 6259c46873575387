"""The guards of one bridge, sorted by where they stand, and what asking them needs."""

from collections.abc import Sequence
from functools import partial

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.asking import Verdicts
from ctxbridge.guards.guard import TextCheck
from ctxbridge.guards.pipeline import Judged, judge
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import Stage
from ctxbridge.ports import Guard
from ctxbridge.wire.keys import text_digest


class Panel:
    """Asked of every text of one tenant.

    `masking` and `early` judge what comes in before it is stored, `inbound` after that, `beside`
    while the agent thinks already.
    """

    def __init__(self, guards: Sequence[Guard], tenant: str) -> None:
        self.guards = tuple(guards)
        keeping = [guard.name for guard in guards if getattr(guard, "codec", None) is not None]
        for name in keeping:
            if keeping.count(name) > 1:
                raise ConfigurationError(f"two guards named {name!r} would keep the same state")
        self.digest = partial(text_digest, tenant)
        self._known = Verdicts()
        inbound = self.at("inbound")
        early = [guard for guard in inbound if guard.early]
        late = [guard for guard in inbound if not guard.early]
        self.masking = [guard for guard in early if guard.modifies]
        self.early = [guard for guard in early if not guard.modifies]
        self.beside = [guard for guard in late if getattr(guard, "overlap", False)]
        self.inbound = [guard for guard in late if guard not in self.beside]
        self.context = self.at("context")
        self.reply = self.at("reply")
        self.send = self.at("send")

    def at(self, stage: Stage) -> list[Guard]:
        """The guards at this stage, in their order."""
        return [guard for guard in self.guards if stage in guard.stages]

    async def judge(
        self, guards: Sequence[Guard], check: TextCheck, states: GuardStates | None = None
    ) -> Judged:
        """What these guards say; whatever they do, this returns."""
        return await judge(guards, check, self.digest, self._known, states)
