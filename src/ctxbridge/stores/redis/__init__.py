"""The store on Redis or Valkey: alone, with Sentinel, or as a Cluster."""

from ctxbridge.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
