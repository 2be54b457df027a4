"""Transports for smallest-proto: one small driver for each framework, an in-memory network, a local server."""
