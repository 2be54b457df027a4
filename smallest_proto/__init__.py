"""smallest-proto: Smallest AI's speech services as pure state machines. No I/O, no clock, no threads."""
