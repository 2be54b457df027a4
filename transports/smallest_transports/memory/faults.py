"""What a network and a service can do to a call, by name: each is done to one link, whenever you like."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smallest_proto.server.answers import Response

from .network import MemoryLink, MemoryNetwork

Fault = Callable[[MemoryLink], object]


def hiccup(link: MemoryLink) -> None:
    """The service reads nothing for a second, then everything at once."""
    link.stall()
    link.after(1.0, link.resume)


FAULTS: Mapping[str, Fault] = {
    "drop": MemoryLink.lose,
    "half-open": MemoryLink.half_open,
    "stall": MemoryLink.stall,
    "hiccup": hiccup,
    "mute": MemoryLink.mute,
    "going away": lambda link: link.hang_up(1001),
    "no goodbye": lambda link: link.hang_up(1006),
    "internal error": lambda link: link.hang_up(1011),
    "restart": lambda link: link.hang_up(1012),
    "full": lambda link: link.hang_up(1013),
    "no last": lambda link: link.hang_up(1000),
    "error": lambda link: link.say('{"type":"error","status":"error","message":"something went wrong"}'),
    "direct error": lambda link: link.say('{"error":"something went wrong"}'),
    "no JSON": lambda link: link.say("<html>"),
    "no object": lambda link: link.say("[1, 2]"),
    "odd types": lambda link: link.say('{"type":7,"transcript":[],"words":"none","is_final":"perhaps"}'),
    "binary": lambda link: link.say(b"\x00\xff"),
    "unknown": lambda link: link.say('{"type":"news","text":"none"}'),
}


def refuse_next(network: MemoryNetwork, status: int, headers: tuple[tuple[str, str], ...] = ()) -> None:
    """Have the service refuse the next link with an HTTP status."""
    network.refusals.append(Response(status=status, headers=headers, body=b""))
