"""A WebSocket of the page, as the server has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from smallest_transports._wire import BinaryMessage, ServerEvent, TextMessage
from smallest_transports.local.link import Connection


class Browser:
    """What a browser says, and what it is told."""

    def __init__(self, connection: Connection, query: Mapping[str, str]) -> None:
        self.query = query  # of its address
        self._connection = connection
        self._early: Sequence[ServerEvent] = connection.wire.accept()
        self._telling = asyncio.Lock()

    async def messages(self) -> AsyncIterator[bytes | dict[str, Any]]:
        """Audio, and JSON objects, to the end of the connection. What is neither is passed over."""
        wire, reader, _ = self._connection
        events = self._early
        while True:
            for event in events:
                if isinstance(event, BinaryMessage):
                    yield event.data
                elif isinstance(event, TextMessage) and isinstance(read := _read(event.text), dict):
                    yield read
            if wire.finished:
                return
            events = wire.receive_data(await reader.read(2**16))

    async def tell(self, message: bytes | dict[str, Any]) -> None:
        """Audio, or an object; waits while the browser has enough."""
        if isinstance(message, bytes):
            self._connection.wire.send_binary(message)
        else:
            self._connection.wire.send_text(msgspec.json.encode(message).decode())
        await self._flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        self._connection.wire.close(code, reason)
        await self._flush()

    async def _flush(self) -> None:
        wire, _, writer = self._connection
        writer.write(wire.data_to_send())
        async with self._telling:  # in Python 3.10 one at a time may wait
            await writer.drain()


def _read(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
