"""What a store must prove, and the models of a state: for our own and for those of others.

::

    from ctxbridge.testing import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self):
            async with MyStore() as store:
                yield store

Run it with pytest. `store_machine` makes a Hypothesis state machine of any store.

`SchemaContract` is what the models of a team's state must prove, and `keep_examples` keeps stored
bytes for it. All of these need the extra ``ctxbridge[testing]``.

`ctxbridge.testing.servers` and `ctxbridge.testing.topologies` start real Redis and Valkey servers,
`ctxbridge.testing.proxy` breaks the line to a server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ctxbridge.testing.actor import Actor

if TYPE_CHECKING:
    from ctxbridge.testing.contract import StoreContract
    from ctxbridge.testing.machine import store_machine
    from ctxbridge.testing.schemas import SchemaContract, keep_examples

__all__ = ["Actor", "SchemaContract", "StoreContract", "keep_examples", "store_machine"]

_HOMES = {
    "SchemaContract": "schemas",
    "StoreContract": "contract",
    "keep_examples": "schemas",
    "store_machine": "machine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ctxbridge.testing' has no attribute {name!r}")
    return getattr(import_module(f"ctxbridge.testing.{_HOMES[name]}"), name)
