"""A storm: a small bot on several workers, under everything that goes wrong, and the account of it.

::

    python -m ctxbridge.testing.storm --url redis://localhost:6379 --kills 40

Customers write on two channels, every webhook comes several times and to several workers at once,
workers are killed in the middle of their turns. In the end each message must have been answered
exactly once, in the log and at the (faked) provider. `run` and `blow` are the same for your own
tests.
"""

from ctxbridge.testing.storm.driver import Fault, Storm, blow, run
from ctxbridge.testing.storm.plan import Account, Plan
from ctxbridge.testing.storm.telling import tell

__all__ = ["Account", "Fault", "Plan", "Storm", "blow", "run", "tell"]
