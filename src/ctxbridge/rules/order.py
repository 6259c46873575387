"""The order of a log: `seq` counts every entry from 1, without gaps. Arrival is the order."""

from ctxbridge.errors import CorruptRecord


def newest(last: int, window: int) -> range:
    """The places of the newest `window` entries of a log that ends at `last` (0: of all)."""
    return range(max(1, last - window + 1) if window else 1, last + 1)


def require_whole(wanted: range, found: int) -> range:
    """`wanted`, if as many entries were found; torn data is reported, never returned as good."""
    if found != len(wanted):
        raise CorruptRecord(
            f"a conversation is torn: {len(wanted)} entries were expected and {found} found; "
            "restore the file from a backup"
        )
    return wanted
