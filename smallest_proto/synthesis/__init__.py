"""Speech from text as it is written, over a socket."""
