"""One WebSocket of the local server: what all links share, and the faults that can be played on one."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from smallest_proto.server.synthesis import SynthesisCommand
from smallest_proto.server.transcription import Close, Reply, ServiceCommand
from smallest_transports._wire import BinaryMessage, Closed, ProtocolBroken, ServerConnection, ServerEvent, TextMessage

from .faults import FaultPlan, LinkFaults

CLOSING_SECONDS = 2.0  # how long the client may take to answer a close frame

# SO_LINGER for 0 s: a close discards what waits, and sends RST. Windows has shorts there.
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)

Command: TypeAlias = ServiceCommand | SynthesisCommand


class Connection(NamedTuple):
    """One connection of a client: its wire, and its streams."""

    wire: ServerConnection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """Break it (RST): data that is on its way is lost."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


class Service(Protocol):
    """The service's side of one WebSocket, pure: ``LiveService`` or ``SynthesisService``."""

    def start(self, now: float) -> None:
        """The WebSocket is open."""

    def message_received(self, data: str | bytes, now: float) -> None:
        """A message came."""

    def poll_output(self) -> Command | None:
        """The next thing to do."""

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``."""

    def handle_timer(self, now: float) -> None:
        """The time has come."""

    def fail(self, message: str, code: int, now: float) -> None:
        """Tell the client why, and close."""


class Link:
    """Moves messages between one client and its ``Service``. It decides nothing.

    The faults of a bad network or a bad service are methods; ``faults`` says which are played, and when.
    """

    def __init__(self, service: Service, connection: Connection, faults: FaultPlan) -> None:
        self._service = service
        self._connection = connection
        self._wire, self._reader, self._writer = connection
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()  # more may come
        self._room.set()
        self._over = False
        self._stalled = False
        self._muted = False
        self._timer: asyncio.TimerHandle | None = None  # the service's
        self._closing: asyncio.TimerHandle | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self._write: Callable[[bytes], None] = self._writer.write
        self._faults = LinkFaults(faults, self)

    def open(self, early: Sequence[ServerEvent]) -> None:
        """The WebSocket was accepted; ``early`` is what the client sent before."""
        self._service.start(self._loop.time())
        self._take(early)
        self._faults.audio_came(0.0)
        self._drain()

    def fail(self, message: str, code: int) -> None:
        """Tell the client why, and close."""
        self._service.fail(message, code, self._loop.time())
        self._drain()

    # The faults. The caller drains afterwards.

    def lose(self) -> None:
        """Break the connection: the client gets a reset, and data that is on its way is lost."""
        self._connection.reset()

    def half_open(self) -> None:
        """Stop reading and writing, without a sign: the socket stays open until the idle time is over."""
        self._write = _write_nothing
        self.mute()
        self.stall()

    def stall(self, seconds: float | None = None) -> None:
        """Stop reading, for ``seconds`` or for ever. What was read is still answered."""
        self._stalled = True
        if seconds is not None:
            self._resuming = self._loop.call_later(seconds, self._resume)

    def mute(self) -> None:
        """Read on and answer pings, but send no messages any more."""
        self._muted = True

    def say(self, data: str | bytes) -> None:
        """Send a message, whatever it is."""
        if isinstance(data, str):
            self._wire.send_text(data)
        else:
            self._wire.send_binary(data)

    def hang_up(self, code: int, reason: str = "") -> None:
        """Close the WebSocket, unless it is closed."""
        if not self._over:
            self._wire.close(code, reason)
            self._over = True
            self._closing = self._loop.call_later(CLOSING_SECONDS, self._writer.transport.abort)

    def tear(self) -> None:
        """Cut the next audio that is sent in the middle of a sample."""

    def _resume(self) -> None:
        self._stalled = False
        self._drain()

    async def read(self) -> None:
        """Read what the client sends, until the connection is over."""
        try:
            while not self._wire.finished:
                await self._room.wait()
                self._take(self._wire.receive_data(await self._reader.read(2**16)))
                if not self._wire.finished:
                    await self._writer.drain()  # read nothing from a client that does not read
        except OSError:
            pass  # it is gone
        finally:
            for timer in (self._timer, self._closing, self._resuming):
                if timer is not None:
                    timer.cancel()

    def _take(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            self._came(event)
        self._drain()

    def _came(self, event: ServerEvent) -> None:
        if isinstance(event, TextMessage):
            self._service.message_received(event.text, self._loop.time())
        elif isinstance(event, BinaryMessage):
            self._service.message_received(event.data, self._loop.time())
        elif isinstance(event, (Closed, ProtocolBroken)):
            self._over = True

    def _drain(self) -> None:
        while (command := self._service.poll_output()) is not None:
            self._carry_out(command)
        self._settle()

    def _carry_out(self, command: Command) -> None:
        if not self._muted or isinstance(command, Close):
            self._do(command)

    def _do(self, command: Command) -> None:
        if isinstance(command, Reply):
            self.say(command.text)
        elif isinstance(command, Close):
            self.hang_up(command.code, command.reason)

    def _settle(self) -> None:
        """After each change: send what is ready, and set the timer."""
        data = self._wire.data_to_send()
        if data and not self._writer.transport.is_closing():
            self._write(data)
        if self._over or (not self._stalled and self._has_room()):
            self._room.set()
        else:
            self._room.clear()
        self._set_timer()

    def _has_room(self) -> bool:
        """Whether more may be read from the client."""
        return True

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._service.get_timer()
        if due is not None and not self._over:
            self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._service.handle_timer(self._loop.time())
        self._drain()


def _write_nothing(_: bytes) -> None:
    """A half-open connection drops what is sent."""
