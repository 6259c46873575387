"""Stores that are broken on purpose: the contract and the machine must find each of them."""

from msgspec.structs import replace

from ctxbridge.model import Merge, Refused, Split, Take
from ctxbridge.stores.memory import MemoryStore


class WithoutFence(MemoryStore):
    """Broken on purpose: takes a commit from whoever comes."""

    async def commit(self, change, /):
        if change.fence is not None and (
            home := self._contacts.get((change.tenant, change.contact))
        ):
            change = replace(change, fence=home.head.fence, turn=home.head.turn)
        return await super().commit(change)


class WithoutDedupe(MemoryStore):
    """Broken on purpose: forgets which ids it has seen."""

    async def open(self, claim, /):
        self._seen.clear()
        return await super().open(claim)


class WithoutGate(MemoryStore):
    """Broken on purpose: never closes the gate on what was prepared before."""

    async def commit(self, change, /):
        home = self._contacts.get((change.tenant, change.contact))
        return await super().commit(replace(change, gate_epoch=home.head.gate_epoch if home else 0))


class WithoutWaiting(MemoryStore):
    """Broken on purpose: forgets who waits when a turn ends."""

    async def commit(self, change, /):
        committed = await super().commit(change)
        if change.fence is not None and change.finished:
            home = self._contacts[change.tenant, change.contact]
            home.head = replace(home.head, waiting=b"")
        return committed


class WithoutJoining(MemoryStore):
    """Broken on purpose: a message that another turn answered is answered again."""

    async def commit(self, change, /):
        return await super().commit(replace(change, joined=()))


class WithoutAtomicity(MemoryStore):
    """Broken on purpose: what is to leave is stored though its turn was refused."""

    async def commit(self, change, /):
        committed = await super().commit(change)
        if isinstance(committed, Refused) and change.deliveries:
            await super().commit(replace(change, fence=None, gate_epoch=committed.gate_epoch))
        return committed


class WithoutClaims(MemoryStore):
    """Broken on purpose: gives a delivery to whoever asks."""

    async def deliver(self, step, /):
        if isinstance(step, Take) and (home := self._contacts.get((step.tenant, step.where))):
            held = home.outbox.get(step.delivery)
            step = replace(step, token=held.token) if held and held.token else step
        return await super().deliver(step)


class WithoutEpoch(MemoryStore):
    """Broken on purpose: lets a delivery leave that was judged before the customer said STOP."""

    async def deliver(self, step, /):
        if isinstance(step, Take) and (home := self._contacts.get((step.tenant, step.where))):
            step = replace(step, gate_epoch=home.head.gate_epoch)
        return await super().deliver(step)


class WithoutControl(MemoryStore):
    """Broken on purpose: lets leave what was judged under an older control."""

    async def commit(self, change, /):
        return await super().commit(replace(change, control=1 << 62))


class WithoutControlOfClaims(MemoryStore):
    """Broken on purpose: gives a delivery to who was told to send it before a rollback."""

    async def deliver(self, step, /):
        known = replace(step, control=1 << 62) if isinstance(step, Take) else step
        return await super().deliver(known)


class WithoutFloor(MemoryStore):
    """Broken on purpose: the floor goes to a human, and what was prepared before may leave."""

    async def commit(self, change, /):
        committed = await super().commit(change)
        home = self._contacts.get((change.tenant, change.contact))
        if home and change.floor is not None and not isinstance(committed, Refused):
            home.head = replace(home.head, gate_epoch=home.head.gate_epoch - 1)
        return committed


class WithoutRevision(MemoryStore):
    """Broken on purpose: what has changed since it was read does not matter."""

    async def commit(self, change, /):
        return await super().commit(replace(change, revision=None))


class WithoutOrder(MemoryStore):
    """Broken on purpose: the last word on a delivery counts, whatever was known before."""

    async def deliver(self, step, /):
        for home in self._contacts.values():
            home.outbox = {
                id: replace(one, status="unknown") if one.status in {"sent", "read"} else one
                for id, one in home.outbox.items()
            }
        return await super().deliver(step)


class WithoutPatience(MemoryStore):
    """Broken on purpose: forgets what a provider said too early."""

    async def deliver(self, step, /):
        for home in self._contacts.values():
            home.kept.clear()
        return await super().deliver(step)


class WithoutSweeping(MemoryStore):
    """Broken on purpose: never tells of a turn whose worker is gone."""

    async def scan(self, scan, /):
        return [found for found in await super().scan(scan) if found.delivery]


class WithoutEnd(MemoryStore):
    """Broken on purpose: answers who waits for the end of a turn at once."""

    async def read(self, query, /):
        return await super().read(replace(query, held_by=0))


class WithoutTenants(MemoryStore):
    """Broken on purpose: lists what is anybody's."""

    async def scan(self, scan, /):
        tenants = {home.tenant for home in self._active} | {scan.tenant}
        lists = [await super(WithoutTenants, self).scan(replace(scan, tenant=t)) for t in tenants]
        return sorted([found for one in lists for found in one], key=lambda found: found.at)


class WithoutForgetting(MemoryStore):
    """Broken on purpose: keeps what is to leave, and what was said of it, for ever."""

    async def commit(self, change, /):
        return await super().commit(replace(change, remember_seconds=1e9))

    async def deliver(self, step, /):
        return await super().deliver(
            step if isinstance(step, Take) else replace(step, remember_seconds=1e9)
        )


class WithoutBounds(MemoryStore):
    """Broken on purpose: lets any number wait, and stores what it rejects."""

    async def open(self, claim, /):
        return await super().open(replace(claim, backlog=1_000, overlap="queue"))


class WithoutAssurance(MemoryStore):
    """Broken on purpose: anybody's message takes the lease of a running turn."""

    async def open(self, claim, /):
        home = self._addresses.get((claim.tenant, claim.address))
        if home and claim.overlap == "supersede":
            home.head = replace(home.head, assurance=int(claim.assurance))
        return await super().open(claim)


class WithoutResuming(MemoryStore):
    """Broken on purpose: stores a message anew that was only to be taken up."""

    async def open(self, claim, /):
        return await super().open(replace(claim, resumes=0))


class WithoutErasedIds(MemoryStore):
    """Broken on purpose: an erased contact's ids are forgotten, so what comes late comes anew."""

    async def erase(self, erase, /):
        erased = await super().erase(erase)
        self._seen = {key: kept for key, kept in self._seen.items() if kept[1].seq}
        return erased


class WithoutErasedWords(MemoryStore):
    """Broken on purpose: the contact is erased, and the log is not."""

    async def erase(self, erase, /):
        home = self._addresses.get((erase.tenant, erase.address))
        kept = list(home.entries) if home else []
        erased = await super().erase(erase)
        if home:
            home.entries = kept
        return erased


class WithoutRefusals(MemoryStore):
    """Broken on purpose: who said STOP is forgotten to have said it."""

    async def erase(self, erase, /):
        erased = await super().erase(erase)
        if home := self._addresses.get((erase.tenant, erase.address)):
            home.contact = replace(home.contact, consents=())
        return erased


class WithoutErasedTurns(MemoryStore):
    """Broken on purpose: a turn that runs is not told that its contact is gone."""

    async def erase(self, erase, /):
        home = self._addresses.get((erase.tenant, erase.address))
        head = home.head if home else None
        erased = await super().erase(erase)
        if home:
            home.head = replace(
                home.head, fence=head.fence, turn=head.turn, lease_end=head.lease_end,
                gate_epoch=head.gate_epoch,
            )  # fmt: skip
            self._contacts[erase.tenant, erased.contact] = home
        return erased


class WithoutMovedIds(MemoryStore):
    """Broken on purpose: message ids stay behind when their messages go elsewhere."""

    def remember_at(self, giver, taker, places):
        pass


class WithoutMovedDeliveries(MemoryStore):
    """Broken on purpose: what was to leave is lost in a merge."""

    async def identify(self, claim, /):
        identified = await super().identify(claim)
        if isinstance(claim, Merge) and identified.status == "merged":
            self._contacts[claim.tenant, claim.into].outbox.clear()
        return identified


class WithoutMergedFence(MemoryStore):
    """Broken on purpose: who held the turn of the contact that stays may go on as if nothing was."""

    async def identify(self, claim, /):
        home = self._contacts.get((claim.tenant, claim.into)) if isinstance(claim, Merge) else None
        head = home.head if home else None
        identified = await super().identify(claim)
        if home and identified.status == "merged":
            home.head = replace(
                home.head, fence=head.fence, turn=head.turn, lease_end=head.lease_end,
                gate_epoch=head.gate_epoch,
            )  # fmt: skip
        return identified


class WithoutWhatCameSince(MemoryStore):
    """Broken on purpose: a split gives back what came with the merge, and nothing of later."""

    async def identify(self, claim, /):
        home = (
            self._contacts.get((claim.tenant, claim.contact)) if isinstance(claim, Split) else None
        )
        note = home.notes.get(claim.part) if home else None
        if note:
            claim = replace(claim, moves=claim.moves[: note.kept.part.head.seq])
        return await super().identify(claim)


class WithoutOldIds(MemoryStore):
    """Broken on purpose: the id of who was merged leads nowhere any more."""

    async def identify(self, claim, /):
        identified = await super().identify(claim)
        if isinstance(claim, Merge) and identified.status == "merged":
            del self._contacts[claim.tenant, claim.contact]
        return identified


FOUND_BY_THE_MACHINE = [
    WithoutFence, WithoutDedupe, WithoutGate, WithoutWaiting, WithoutJoining, WithoutAtomicity,
    WithoutClaims, WithoutEpoch, WithoutOrder, WithoutPatience, WithoutSweeping, WithoutForgetting,
    WithoutBounds, WithoutAssurance, WithoutResuming, WithoutMovedIds, WithoutMovedDeliveries,
    WithoutMergedFence, WithoutWhatCameSince,
]  # fmt: skip

FOUND_BY_THE_CONTRACT = [
    (WithoutMovedIds, "what_was_answered_before_is_answered_again_the_same"),
    (WithoutMovedDeliveries, "what_was_to_leave_is_judged_anew_and_leaves_once"),
    (WithoutMergedFence, "who_holds_a_turn_of_either_has_lost_it_and_what_waits_is_taken_up"),
    (WithoutWhatCameSince, "a_split_undoes_it_with_what_arrived_since"),
    (WithoutOldIds, "both_logs_are_one_and_both_ids_and_addresses_lead_there"),
    (WithoutFence, "a_lease_that_ran_out_goes_to_the_next_and_the_stale_worker_is_fenced"),
    (WithoutFence, "a_later_message_of_equals_supersedes_the_running_turn"),
    (WithoutGate, "outside_of_a_turn_the_gate_counts_too"),
    (WithoutWaiting, "what_no_turn_has_finished_waits_the_oldest_first"),
    (WithoutJoining, "a_joined_message_is_answered_by_the_turn_that_joined_it"),
    (WithoutAtomicity, "a_refused_change_leaves_no_delivery"),
    (WithoutClaims, "one_worker_gets_a_delivery"),
    (WithoutControl, "a_turn_under_an_older_control_is_refused_and_stores_nothing"),
    (WithoutControlOfClaims, "nothing_is_claimed_under_an_older_control"),
    (WithoutFloor, "a_turn_that_runs_cannot_speak_once_the_floor_has_gone"),
    (WithoutEpoch, "after_stop_nothing_is_claimed_that_was_not_judged_anew"),
    (WithoutOrder, "every_word_after_every_other"),
    (WithoutPatience, "what_a_provider_says_too_early_is_kept"),
    (WithoutSweeping, "a_turn_whose_lease_ran_out_is_due"),
    (WithoutEnd, "who_waits_is_answered_when_the_turn_is_committed"),
    (WithoutTenants, "no_tenant_sees_or_touches_anothers_outbox"),
    (WithoutForgetting, "a_delivery_is_remembered_for_its_time_and_no_longer"),
    (WithoutForgetting, "what_came_too_early_is_kept_for_its_time_and_no_longer"),
    (WithoutBounds, "no_more_than_the_backlog_waits"),
    (WithoutBounds, "a_message_that_is_rejected_is_not_stored"),
    (WithoutAssurance, "only_equals_supersede"),
    (WithoutErasedIds, "a_late_webhook_stores_nothing"),
    (WithoutErasedWords, "nothing_of_an_erased_contact_is_read_again"),
    (WithoutRefusals, "who_said_stop_is_still_not_written_to"),
    (WithoutErasedTurns, "a_turn_that_runs_meanwhile_can_store_nothing"),
    (WithoutResuming, "nothing_is_stored_anew_that_was_only_to_be_taken_up"),
]
