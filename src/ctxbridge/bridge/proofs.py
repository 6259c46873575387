"""What a bridge does about claims of who somebody is: codes that come back, and signed tokens."""

from typing import TYPE_CHECKING, Any, cast

from ctxbridge.bridge import proving
from ctxbridge.bridge.tokens import Tokens, link_by_token
from ctxbridge.model import Address, Assurance, Contact, Endpoint

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge


class Proofs:
    """The part of `Bridge` that links by proof, instead of by your word (`Bridge.link`)."""

    async def challenge(
        self,
        claimed: Address | str,
        /,
        *,
        to: Address | str,
        endpoint: Endpoint | None = None,
        digits: int = 6,
        lifetime_seconds: float = 600.0,
        text: str = proving.CODE_TEXT,
        subject: str = "",
    ) -> proving.Challenge:
        """Make a one-time code for `claimed`, which `to` says is theirs: who is writing to us now.

        Send `Challenge.code` to `claimed`, or name the `endpoint` there from which the bridge is to
        send it by its sender, as `text` with ``{code}`` in it and `subject` for a mail. It goes
        past log and outbox, so that the code is stored nowhere, is tried once, and heeds a STOP and
        a pause or kill; what became of it is not told. Then ask on the channel of `to` for the
        code, and give what comes to `prove`. A code has `digits` (6 to 10) and is good for
        `lifetime_seconds` (1 to 600) and five guesses, from `to` alone, whose next code takes the
        place of this one.

        Nothing in the answer, the errors and the steps tells whether somebody is stored under
        `claimed`; only the sending is left out after a STOP, or while it stands still, which takes
        less time.

        Raises `TooManyChallenges` after 3 codes for `claimed` in 10 minutes or 10 in a day, or 5
        and 20 asked for by `to`; `UsageError` for what cannot be; `Malformed`; and `StoreError`.
        """
        canonical = _bridge(self).canonical
        where = Address.parse(claimed) if isinstance(claimed, str) else claimed
        asked = proving.Asked(
            canonical(where), canonical(to), endpoint, digits, lifetime_seconds, text, subject,
            where.value,
        )  # fmt: skip
        return await proving.challenge(_bridge(self), asked)

    async def prove(
        self, address: Address | str, code: str, /, *, assurance: Assurance
    ) -> proving.Proof:
        """Take the code that came from `address` in a message of this `assurance`, and link.

        `code` is the code alone or a reply that holds it (`code_in`). Right, in time, for the first
        time and from the address that it was made for, it links the claimed address to the contact
        of `address`, as ``VERIFIED``. Look at `Proof.status`.

        Raises `Unvouched` for an `assurance` below ``CHANNEL``, and `AddressTaken` if the claimed
        address has a history under another contact: it was proved, and the code is used up.
        After `UnknownContact` (nobody is stored under `address`), `Busy` and `StoreError` the code
        is as it was, but for the guess that was counted, so a retry is safe; only where the step
        that uses it up had an `OutcomeUnknown` it may be used up, and another one is needed.
        """
        bridge = _bridge(self)
        return await proving.prove(bridge, bridge.canonical(address), code, assurance)

    async def link_by_token(
        self, token: str, address: Address | str, /, *, by: Tokens, assurance: Assurance
    ) -> Contact:
        """Link `address` to the contact that a signed token speaks for, as ``AUTHENTICATED``.

        `by` is whose tokens are taken: `LinkTokens`, or a `TenantLogin` for the JWT of your own
        login. `assurance` is that of the message or request that brought the token from `address`.
        Where the token names an address that nobody is stored under, that one is linked to the
        contact of `address`.

        Raises `TokenExpired` for a token whose time is over, and `TokenInvalid` for anything else
        that is wrong with it; `Unvouched` for an `assurance` below ``CHANNEL``, and what
        `Bridge.link` raises. A token for one use is used up by a link or `AddressTaken` alone.
        """
        bridge = _bridge(self)
        return await link_by_token(bridge, token, bridge.canonical(address), by, assurance)


def _bridge(self: Proofs) -> "Bridge[Any]":
    return cast("Bridge[Any]", self)
