"""Encryption around any store: what a customer said lies sealed in it. Needs the extra `crypto`."""

from ctxbridge.stores.sealed.keys import KeySource
from ctxbridge.stores.sealed.store import SealedStore

__all__ = ["KeySource", "SealedStore"]
