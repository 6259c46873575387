"""Pure decisions: no clock, no ids, no await. Every store and the bridge take them from here."""
