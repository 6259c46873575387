"""The account in words, for people."""

from ctxbridge.testing.storm.plan import Account

_LINES = (
    ("written", "messages of customers, in {webhooks:,} webhooks"),
    ("answered", "of them have their reply in the log, in {turns:,} turns"),
    ("duplicated", "were stored, answered or delivered more than once"),
    ("lost", "were acknowledged and never answered"),
    ("sent", "replies have reached the provider"),
    ("repeated", "came there again under a key that it knew"),
    ("unsent", "messages have a reply that never left"),
    ("unknown", "replies of which nobody can say whether they left"),
)


def tell(account: Account) -> str:
    """The account, line by line; the last says whether all is well."""
    lines = []
    for name, what in _LINES:
        words = what.format(webhooks=account.webhooks, turns=account.turns)
        lines.append(f"{name:<10} {getattr(account, name):>7,}  {words}")
    lines += [_broken(account), *_told_again(account)]
    lines += [f"problem: {problem}" for problem in account.problems]
    lines.append(_verdict(account))
    return "\n".join(lines)


def _broken(account: Account) -> str:
    at = ", ".join(f"{stage} {count:,}" for stage, count in account.killed_at.items())
    where = f" (their turns: {at})" if at else ""
    return f"{'killed':<10} {account.kills:>7,}  workers{where}, and {account.freezes:,} stopped"


def _told_again(account: Account) -> list[str]:
    if not account.errors:
        return []
    told = ", ".join(f"{name} {count:,}" for name, count in sorted(account.errors.items()))
    return [f"{'again':<10} {sum(account.errors.values()):>7,}  webhooks had to come again: {told}"]


def _verdict(account: Account) -> str:
    words = "all is well" if account.good else "NOT WELL"
    return f"{words}: {account.seconds} s"
