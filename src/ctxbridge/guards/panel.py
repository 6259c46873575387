"""The guards of one bridge, sorted by where they stand, and what asking them needs."""

from collections.abc import Sequence
from functools import partial

from ctxbridge import telemetry
from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.asking import Verdicts
from ctxbridge.guards.guard import TextCheck
from ctxbridge.guards.pipeline import Judged, Lanes, judge
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import Release, Stage
from ctxbridge.ports import Guard
from ctxbridge.wire.keys import text_digest


class Panel:
    """Asked of every text of one tenant.

    `masking` and `early` judge what comes in before it is stored, `inbound` after that, `beside`
    while the agent thinks already; `late` are these two. `before_reply` stand before all others
    that judge a reply. `tells` says whether what they say is counted, `release` for which release
    they judge.
    """

    def __init__(
        self,
        guards: Sequence[Guard],
        tenant: str,
        before_reply: Sequence[Guard] = (),
        *,
        tells: bool = True,
        release: Release | None = None,
    ) -> None:
        self.guards = tuple(guards)
        self._release = release
        self.tells = tells
        keeping = [guard.name for guard in guards if getattr(guard, "codec", None) is not None]
        for name in keeping:
            if keeping.count(name) > 1:
                raise ConfigurationError(f"two guards named {name!r} would keep the same state")
        self.digest = partial(text_digest, tenant)
        self._known = Verdicts()
        inbound = self.at("inbound")
        early = [guard for guard in inbound if guard.early]
        late = [guard for guard in inbound if not guard.early]
        self.masking = Lanes([guard for guard in early if guard.modifies])
        self.early = Lanes([guard for guard in early if not guard.modifies])
        self.beside = Lanes([guard for guard in late if getattr(guard, "overlap", False)])
        self.inbound = Lanes([guard for guard in late if guard not in self.beside])
        self.late = Lanes((*self.inbound, *self.beside))
        self.context = self.at("context")
        self.reply = Lanes((*before_reply, *self.at("reply")))
        self.send = self.at("send")

    def forget(self) -> None:
        """Forget what was judged before: verdicts are kept by digests of texts."""
        self._known = Verdicts()

    def at(self, stage: Stage) -> Lanes:
        """The guards at this stage, in their order."""
        return Lanes([guard for guard in self.guards if stage in guard.stages])

    async def judge(
        self, guards: Sequence[Guard], check: TextCheck, states: GuardStates | None = None
    ) -> Judged:
        """What these guards say; whatever they do, this returns."""
        judged = await judge(guards, check, self.digest, self._known, states)
        if self.tells:
            telemetry.decided(judged.decision, self._release)
            if check.stage != "inbound":  # these are told with the turn, whose span comes later
                telemetry.note_objections(judged.decision)
        return judged
