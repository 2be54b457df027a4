"""Drivers that are wrong in one thing each, as somebody could write them: thin wrappers round the one for asyncio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from smallest_proto.events import LinkLost, SessionEnded
from smallest_proto.transcription.events import FinalTranscript, SpeechEnded, SpeechStarted, Usage
from smallest_transports import _events as wire
from smallest_transports.asyncio import Client, _Driver

LATE = 1.0  # seconds


class Held(_Driver[Any]):
    """Base of those that keep an event back."""

    held: Any = None


# --- what the application is told ---


class SwallowsLosses(_Driver[Any]):
    async def next(self) -> Any:
        event = await super().next()
        return await self.next() if isinstance(event, LinkLost) else event


class SwallowsTurns(_Driver[Any]):
    async def next(self) -> Any:
        event = await super().next()
        return await self.next() if isinstance(event, (SpeechStarted, SpeechEnded)) else event


class SwapsFinals(Held):
    async def next(self) -> Any:
        event = await super().next()
        last = event is None or isinstance(event, SessionEnded)
        if self.held is None and isinstance(event, FinalTranscript):
            self.held = event
            return await self.next()
        if self.held is not None and (last or isinstance(event, FinalTranscript)):
            self.outputs.appendleft(event if last else self.held)
            event, self.held = self.held if last else event, None
        return event


class TellsTwice(Held):
    async def next(self) -> Any:
        if self.held is not None:
            event, self.held = self.held, None
            return event
        event = self.held = await super().next()
        return event


class LagsByOne(Held):
    async def next(self) -> Any:
        if self.held is None:
            self.held = await super().next()
        if self.held is None or isinstance(self.held, SessionEnded):
            event, self.held = self.held, None
        else:
            event, self.held = self.held, await super().next()
        return event


class SpeaksAfterTheEnd(Held):
    async def next(self) -> Any:
        if isinstance(self.held, SessionEnded):
            self.held = None
            return Usage(seconds=1.0)
        self.held = await super().next()
        return self.held


class HidesFailures(_Driver[Any]):
    def check(self) -> None:
        pass


# --- what goes over a connection ---


class OverWires(_Driver[Any]):
    """Base of those that do something to a wire; ``changed_wire`` does it."""

    def open(self, number: int, request: Any) -> Any:
        link = super().open(number, request)
        if hasattr(link.wire, "send_binary"):
            self.change_wire(link.wire)
        return link

    def change_wire(self, wire: Any) -> None:
        raise NotImplementedError


class LosesTheFirstMessage(OverWires):
    def change_wire(self, wire: Any) -> None:
        send, first = wire.send_binary, [True]
        wire.send_binary = lambda data: None if first and first.pop() else send(data)


class LosesTheLastMessage(OverWires):
    """Its buffer goes out when more comes, and not at the end."""

    def change_wire(self, wire: Any) -> None:
        send, held = wire.send_binary, list[bytes]()

        def one_later(data: bytes) -> None:
            for before in held:
                send(before)
            held[:] = [data]

        wire.send_binary = one_later


class SendsTextFirst(OverWires):
    """Audio has a buffer of its own, and text overtakes it."""

    def change_wire(self, wire: Any) -> None:
        send, take, audio = wire.send_binary, wire.data_to_send, list[bytes]()

        def data_to_send() -> Any:
            for data in audio:
                send(data)
            audio.clear()
            return take()

        wire.send_binary, wire.data_to_send = audio.append, data_to_send


class NeverAnswersPings(_Driver[Any]):
    def hear(self, link: Any, data: bytes | None) -> None:
        super().hear(link, data if not data else data.replace(b"\x89\x00", b""))


class HearsLess(_Driver[Any]):
    """Base of those that do not hear all; ``of_those`` says what of what came together."""

    def of_those(self, events: list[Any]) -> list[Any]:
        raise NotImplementedError

    def hear_events(self, link: Any, events: Any) -> None:
        super().hear_events(link, self.of_those([*events]))


class LosesWhatComesFirst(HearsLess):
    """What came together with the handshake's answer."""

    def of_those(self, events: list[Any]) -> list[Any]:
        return events[:1] if events and isinstance(events[0], wire.Opened) else events


class LosesWhatComesLast(HearsLess):
    """What came together with the goodbye."""

    def of_those(self, events: list[Any]) -> list[Any]:
        return events[-1:] if events and isinstance(events[-1], wire.Closed) else events


class HearsNoPong(HearsLess):
    def of_those(self, events: list[Any]) -> list[Any]:
        return [event for event in events if not isinstance(event, wire.Pong)]


class DecodesPieces(_Driver[Any]):
    """A character that was cut is two that are none."""

    pieces = 0

    def hear(self, link: Any, data: bytes | None) -> None:
        self.pieces += 1
        super().hear(link, data)

    def hear_events(self, link: Any, events: Any) -> None:
        cut = [
            wire.TextMessage(event.text.encode().decode("ascii", "replace"))
            if isinstance(event, wire.TextMessage) and self.pieces > 1
            else event
            for event in events
        ]
        self.pieces = 0 if events else self.pieces
        super().hear_events(link, cut)


class IgnoresRefusals(_Driver[Any]):
    def lose(self, link: Any, failure: Any) -> None:
        if failure.status is None:
            super().lose(link, failure)


# --- time, waiting, leaving ---


class NeverRings(_Driver[Any]):
    def wake_at(self, due: float) -> None:
        pass


class RingsLate(_Driver[Any]):
    def wake_at(self, due: float) -> None:
        super().wake_at(due + LATE)


class NeverSaysWritten(_Driver[Any]):
    def open(self, number: int, request: Any) -> Any:
        link: Any = super().open(number, request)
        flush = link.flush
        link.flush = lambda: bool(flush()) and False
        return link


class HasNoBackPressure(_Driver[Any]):
    async def until_ready(self) -> None:
        await asyncio.sleep(0)


class HearsNothingWhileItWaits(_Driver[Any]):
    def hear(self, link: Any, data: bytes | None) -> None:
        if self.writers:
            self.loop.call_later(0.01, self.hear, link, data)
        else:
            super().hear(link, data)


class ForgetsBetweenLinks(_Driver[Any]):
    """What is given after a link was lost, and before there is another, goes nowhere."""

    between = False

    def tell(self, told: Any, *args: Any) -> None:
        name = told.__name__
        self.between = name in ("link_failed", "link_closed") or (self.between and name != "link_opened")
        if name != "send_audio" or not self.between:
            super().tell(told, *args)


class SwallowsCancellation(_Driver[Any]):
    async def until_ready(self) -> None:
        with suppress(asyncio.CancelledError):
            await super().until_ready()


class LeavesItsConnections(_Driver[Any]):
    async def close(self) -> None:
        self.tell(self.machine.abort)


class WaitsForTheServer(_Driver[Any]):
    """It leaves when the other side has closed, however long that takes."""

    async def close(self) -> None:
        try:
            for link in [*self.links.values()]:
                await link.gone.wait()
        finally:
            await super().close()


def client_of(driver: type[Any]) -> type[Client]:
    """A client with this driver."""
    return type(f"{driver.__name__}Client", (Client,), {"_driver": driver})
