"""Every Lambda semantic, as pure functions and small state machines over plain values: no clock, no I/O, no chance."""
