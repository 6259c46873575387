"""Quiet hours: what would disturb waits until the contact's own morning.

A moment is quiet by what the contact's clock shows then. Where the clock is put back, the hour that
comes twice is judged twice; where it is put forward, what would end in the hour that is left out
ends when the clock jumps.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import past
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, defer, guard
from ctxbridge.model import Address, Contact, Verdict

ZoneOf = Callable[[Contact | None, Address | None], str | None]
MINUTES = 24 * 60
WEEK = frozenset(range(7))


class Hours(Struct, frozen=True):
    """From minute `start` of the day to minute `end`, of the next day where that is earlier.

    `days` are those on which the quiet begins, Monday is 0.
    """

    start: int
    end: int
    days: frozenset[int] = WEEK

    def quiet_until(self, wall: datetime) -> datetime | None:
        """When, by the same clock, the quiet ends that `wall` lies in; `None` for no quiet."""
        midnight = datetime.combine(wall.date(), time())
        minute = (wall - midnight) / timedelta(minutes=1)
        overnight = self.end <= self.start
        if overnight and minute < self.end and (wall.weekday() - 1) % 7 in self.days:
            return midnight + timedelta(minutes=self.end)
        begun = minute >= self.start and (overnight or minute < self.end)
        if begun and wall.weekday() in self.days:
            return midnight + timedelta(minutes=self.end + MINUTES * overnight)
        return None


def quiet_hours(
    zone: str | ZoneOf,
    *,
    start: str = "21:00",
    end: str = "08:00",
    days: Iterable[int] | None = None,
    purposes: Collection[str] = ("marketing",),
    grace_seconds: float = 3600.0,
) -> FunctionGuard:
    """Puts off messages of `purposes` that would leave in quiet hours, until these end.

    `zone` names the contact's time zone (``"Europe/Berlin"``) or finds it by contact and address;
    `None` says that these hours are not for this contact, so that several guards with hours of
    their own can stand beside each other. A zone that does not exist is an error of the guard.

    Quiet is from `start` to `end` (``"24:00"`` for the end of the day), on `days` (those it begins
    on, Monday is 0) or on all. Who wrote on the same channel within `grace_seconds` is answered
    at any hour. ``"all"`` in `purposes` means every message.

    Which hours the law of a place asks for is for you to find out, and to pass here.
    """
    hours = Hours(_minute(start), _minute(end), WEEK if days is None else frozenset(days))
    _require_sense(hours)
    if isinstance(zone, str):
        _require_zone(zone)
    covered = frozenset(purposes)

    @guard("reply", "send", name="quiet_hours")
    def check(check: TextCheck) -> Verdict:
        if "all" not in covered and check.purpose not in covered and check.purpose != "all":
            return allow()
        if _wrote_within(check, grace_seconds):
            return allow()
        named = zone if isinstance(zone, str) else zone(check.contact, past.recipient(check))
        if named is None:
            return allow()
        until = next_allowed(hours, ZoneInfo(named), check.now)
        return defer(until, "quiet_hours") if until > check.now else allow()

    return check


def next_allowed(hours: Hours, zone: ZoneInfo, now: int) -> int:
    """The first moment from `now` on that is not quiet (Unix milliseconds)."""
    while True:
        wall = _wall(zone, now)
        quiet_until = hours.quiet_until(wall)
        if quiet_until is None:
            return now
        end = now + -(-(quiet_until - wall) // timedelta(milliseconds=1))
        # As long as the clock is not changed meanwhile, it shows the end when the time is up.
        now = end if _offset(zone, end) == _offset(zone, now) else _change(zone, now, end)


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """The moment between the two at which the clock is changed."""
    known = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(zone, middle) == known else (before, middle)
    return after


def _at(zone: ZoneInfo, moment: int) -> datetime:
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=moment)).astimezone(zone)


def _wall(zone: ZoneInfo, moment: int) -> datetime:
    return _at(zone, moment).replace(tzinfo=None, fold=0)


def _offset(zone: ZoneInfo, moment: int) -> timedelta | None:
    return _at(zone, moment).utcoffset()


def _wrote_within(check: TextCheck, seconds: float) -> bool:
    last = past.last_inbound(check)
    if last is None or last.disposition == "quarantined":
        return False
    return check.now - past.written_at(last) < seconds * 1000


def _minute(clock: str) -> int:
    """``"21:00"`` as a minute of the day."""
    hour, colon, minute = clock.partition(":")
    if colon and len(clock) == len("21:00") and (hour + minute).isdecimal():
        found = int(hour) * 60 + int(minute)
        if int(minute) < 60 and found <= MINUTES:
            return found
    raise ConfigurationError("quiet hours are given as 21:00")


def _require_sense(hours: Hours) -> None:
    if hours.start % MINUTES == hours.end % MINUTES and hours.end != MINUTES:
        raise ConfigurationError("quiet hours that start and end at the same minute say nothing")
    if hours.start == MINUTES or not hours.days or not hours.days <= WEEK:
        raise ConfigurationError("quiet hours start before 24:00, on days from 0 (Monday) to 6")
    if hours.end - hours.start == MINUTES and hours.days == WEEK:
        raise ConfigurationError("quiet hours of all day on all days would never end")


def _require_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except Exception as error:  # zoneinfo raises several kinds for what is no zone
        raise ConfigurationError(
            "there is no such time zone here; where the system has none, install tzdata"
        ) from error
