"""The store on Redis or Valkey, beside floors and peers that do the same over the same server."""
