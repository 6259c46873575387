"""The commands that there are. What one needs is imported when it runs."""

from ctxbridge.cli.commands import channels, floor, operating, persons, stored
from ctxbridge.cli.commands.command import Command

COMMANDS: tuple[Command, ...] = (
    *stored.COMMANDS,
    *operating.COMMANDS,
    *persons.COMMANDS,
    *floor.COMMANDS,
    *channels.COMMANDS,
)

__all__ = ["COMMANDS", "Command"]
