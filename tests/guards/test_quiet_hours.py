"""Quiet hours, through both changes of the clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctxbridge import errors, guards
from ctxbridge.guards.quiet_hours import Hours, next_allowed

from .talk import HOUR, MINUTE, check, contact, said

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NIGHT = Hours(21 * 60, 8 * 60)


def at(text, zone=BERLIN, fold=0):
    wall = datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)
    return round(wall.timestamp() * 1000)


def shown(moment, zone=BERLIN):
    return f"{datetime.fromtimestamp(moment / 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M}"


def is_quiet(hours, zone, moment):
    """The definition, by the clock of the place."""
    wall = datetime.fromtimestamp(moment / 1000, UTC).astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    today, yesterday = wall.weekday(), (wall.weekday() - 1) % 7
    if hours.end > hours.start:
        return hours.start <= minute < hours.end and today in hours.days
    begun = minute >= hours.start and today in hours.days
    return begun or (minute < hours.end and yesterday in hours.days)


class TestMoment:
    @pytest.mark.parametrize(
        ("now", "until"),
        [("2026-06-01 20:59", "2026-06-01 20:59"), ("2026-06-01 21:00", "2026-06-02 08:00"),
         ("2026-06-02 00:00", "2026-06-02 08:00"), ("2026-06-02 07:59", "2026-06-02 08:00"),
         ("2026-06-02 08:00", "2026-06-02 08:00"), ("2026-12-31 23:30", "2027-01-01 08:00"),
         ("2026-03-28 22:00", "2026-03-29 08:00"), ("2026-10-24 22:00", "2026-10-25 08:00")],
    )  # fmt: skip
    def test_what_is_quiet_ends_at_the_contacts_eight_oclock(self, now, until):
        assert shown(next_allowed(NIGHT, BERLIN, at(now))) == until

    def test_a_night_with_a_change_is_an_hour_shorter_or_longer(self):
        def length(evening):
            return (next_allowed(NIGHT, BERLIN, at(evening)) - at(evening)) / HOUR

        assert length("2026-03-28 22:00") == 9
        assert length("2026-03-27 22:00") == 10
        assert length("2026-10-24 22:00") == 11

    def test_an_end_in_the_hour_that_is_left_out_is_the_moment_of_the_change(self):
        hours = Hours(21 * 60, 2 * 60 + 30)
        assert shown(next_allowed(hours, BERLIN, at("2026-03-29 01:00"))) == "2026-03-29 03:00"

    def test_the_hour_that_comes_twice_is_judged_twice(self):
        hours = Hours(21 * 60, 2 * 60 + 30)
        first = next_allowed(hours, BERLIN, at("2026-10-25 01:00"))
        assert first == at("2026-10-25 02:30", fold=0)
        again = next_allowed(hours, BERLIN, at("2026-10-25 02:10", fold=1))
        assert again == at("2026-10-25 02:30", fold=1)
        assert again - first == HOUR

    def test_days_are_those_on_which_the_quiet_begins(self):
        sunday = Hours(0, 12 * 60, frozenset({6}))
        assert (
            shown(next_allowed(sunday, NEW_YORK, at("2026-06-07 09:00", NEW_YORK)), NEW_YORK)
            == "2026-06-07 12:00"
        )
        monday = at("2026-06-08 09:00", NEW_YORK)
        assert next_allowed(sunday, NEW_YORK, monday) == monday

    def test_whole_days_join(self):
        weekend = Hours(0, 24 * 60, frozenset({5, 6}))
        assert shown(next_allowed(weekend, BERLIN, at("2026-06-06 10:00"))) == "2026-06-08 00:00"

    def test_a_day_that_a_country_left_out(self):
        apia = ZoneInfo("Pacific/Apia")  # there was no 30 December 2011
        now = at("2011-12-29 22:00", apia)
        assert shown(next_allowed(NIGHT, apia, now), apia) == "2011-12-31 08:00"


zones = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
                         "America/St_Johns", "Africa/Casablanca", "UTC"]).map(ZoneInfo)  # fmt: skip
minutes = st.integers(0, 24 * 60 - 1)


def surprise(answer, hours, zone, now):
    """What is wrong with the answer: too early, too late, or nothing."""
    if answer < now or is_quiet(hours, zone, answer):
        return "quiet"
    minute_ends = range(now, answer, 5 * MINUTE)
    return "late" if any(not is_quiet(hours, zone, m) for m in minute_ends) else ""


def by_todays_offset(hours, zone, now):
    """The usual mistake: the end of the quiet, by the offset of now."""
    wall = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    until = hours.quiet_until(wall)
    return now if until is None else now + (until - wall) // timedelta(milliseconds=1)


@given(
    zones, minutes, minutes, st.integers(0, 366 * 24 * 60), st.sets(st.integers(0, 6), min_size=1)
)
def test_the_answer_is_the_first_moment_that_is_not_quiet(zone, start, end, minute, days):
    hours = Hours(start, end, frozenset(days))
    if start == end:
        return
    now = at("2026-01-01 00:00", UTC) + minute * MINUTE
    assert surprise(next_allowed(hours, zone, now), hours, zone, now) == ""


def test_the_usual_mistake_would_be_noticed():
    evenings = [at("2026-03-28 22:00"), at("2026-10-24 22:00")]
    found = [surprise(by_todays_offset(NIGHT, BERLIN, e), NIGHT, BERLIN, e) for e in evenings]
    assert found == ["late", "quiet"]


class TestGuard:
    night = at("2026-06-01 23:00")

    def ask(self, *entries, zone="Europe/Berlin", purpose="marketing", now=None, **more):
        guard = guards.quiet_hours(zone, **more)
        return guard.check(check("Sale!", *entries, purpose=purpose, now=now or self.night))

    def test_marketing_waits_until_the_morning(self):
        verdict = self.ask()
        assert (verdict.action, verdict.code) == ("defer", "quiet_hours")
        assert verdict.until == at("2026-06-02 08:00")

    def test_other_purposes_do_not_unless_all_do(self):
        assert self.ask(purpose="service").action == "allow"
        assert self.ask(purpose="service", purposes=("all",)).action == "defer"
        assert self.ask(purpose="all").action == "defer"

    def test_by_day_it_leaves(self):
        assert self.ask(now=at("2026-06-01 12:00")).action == "allow"

    @pytest.mark.parametrize(("minutes", "action"), [(59, "allow"), (61, "defer")])
    def test_who_wrote_a_moment_ago_is_answered(self, minutes, action):
        wrote = said("contact", "still open?", 0)
        ago = self.night - minutes * MINUTE
        assert self.ask(replace(wrote, accepted_at=ago)).action == action

    def test_an_answering_machine_or_another_channel_is_no_reason(self):
        wrote = replace(said("contact", "away", 0), accepted_at=self.night - MINUTE)
        assert self.ask(replace(wrote, disposition="quarantined")).action == "defer"
        assert self.ask(replace(wrote, channel="email")).action == "defer"

    def test_the_zone_may_be_that_of_the_contact(self):
        seen = []

        def zone(who, address):
            seen.append((who, address))
            return "America/New_York"

        assert self.ask(said("contact", "hi", 0), zone=zone, grace_seconds=-1e12).action == "allow"
        assert seen == [(contact(), said("contact", "hi", 0).address)]

    def test_no_zone_means_not_these_hours(self):
        assert self.ask(zone=lambda *_: None).action == "allow"

    async def test_a_zone_that_does_not_exist_is_a_failure_and_no_pass(self):
        guard = guards.quiet_hours(lambda *_: "Mars/Base")
        asked = check("Sale!", purpose="marketing")
        judged = await guards.judge([guard], asked, lambda text: text.encode()[:16])
        assert (judged.blocked, judged.decision.code) == (True, "guard.error")

    @pytest.mark.parametrize(
        "wrong",
        [{"zone": "Mars/Base"}, {"start": "9pm"}, {"start": "25:00"}, {"start": "21:60"}, {"start": "24:00"},
         {"start": "08:00"}, {"start": "00:00", "end": "24:00"}, {"days": []}, {"days": [7]}],
    )  # fmt: skip
    def test_hours_that_make_no_sense_are_refused_at_once(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            guards.quiet_hours(**{"zone": "UTC", **wrong})
