"""What may be said once only: tokens of signatures that do not cover what they sign for."""

from threading import Lock

MAX_REMEMBERED = 10_000


class Once:
    """Remembers what each token was used for; the oldest are forgotten beyond a limit.

    It is this process' memory. Others have their own, so it stops who tries one door, and the
    freshness of a signature and the ids of messages must stop the rest.
    """

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._seen: dict[str, bytes] = {}
        self._lock = Lock()

    def is_first_or_same(self, token: str, content: bytes) -> bool:
        """Whether `token` comes for the first time, or again with the same content."""
        with self._lock:
            known = self._seen.setdefault(token, content)
            if len(self._seen) > self._limit:
                del self._seen[next(iter(self._seen))]
        return known == content
