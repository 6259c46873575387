"""The one object that users hold, and the life of a turn."""

from ctxbridge.bridge.bridge import Bridge
from ctxbridge.bridge.overlap import Overlap
from ctxbridge.bridge.turn import Turn

__all__ = ["Bridge", "Overlap", "Turn"]
