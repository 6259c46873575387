"""Agent frameworks on a bridge: one module each, behind an extra, never loaded by the root."""
