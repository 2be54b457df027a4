"""A live transcription, as the application has it on every driver; pure as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from smallest_proto.config import TranscriptionConfig
from smallest_proto.stats import SessionStats
from smallest_proto.transcription.events import Event
from smallest_proto.transcription.session import TranscriptionSession

from ._driver import Driver
from ._live import PIECE_BYTES, pieces

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self


class TranscriptionStream:
    """One live transcription: audio in, events out.

    Iterating gives the session's events, the last of them ``SessionEnded``; where the session failed it then raises
    the ``RemoteError`` of its failure.
    """

    def __init__(self, driver: Driver[TranscriptionSession]) -> None:
        self._session = driver.machine
        self._driver = driver

    @property
    def stats(self) -> SessionStats:
        """What the session did so far."""
        return self._session.stats

    @property
    def seconds_given(self) -> float:
        """The end of the audio that was given so far, in seconds of the stream."""
        return self._session.seconds_given

    @property
    def config(self) -> TranscriptionConfig:
        """The options of the audio that is given next; after ``UpdateRejected`` those that hold on."""
        return self._session.config

    async def send_audio(self, audio: Buffer) -> None:
        """Give audio of the configured format, in pieces of any size (opus: one packet at a time).

        Waits while the session or the socket has enough to do; what is cancelled while it waits has not been taken.
        Raises ``LocalProtocolError`` for what is no audio and after ``end_input``, and once the session has failed the
        ``RemoteError`` of its failure.
        """
        driver = self._driver
        whole = type(audio) is bytes and len(audio) <= PIECE_BYTES
        for piece in (audio,) if whole else pieces(audio, self.config.audio_format):
            if not driver.takes_at_once():
                await driver.until_ready()
                driver.check()
            driver.tell(self._session.send_audio, piece)

    async def finalize(self) -> None:
        """Ask for everything given so far as a final. The stream goes on."""
        self._tell(self._session.finalize)

    async def update(self, config: TranscriptionConfig) -> None:
        """Go over to other options without a gap; ``UpdateRejected`` is told where the service does not take them."""
        self._tell(self._session.update, config)

    async def end_input(self) -> None:
        """No more audio comes: the rest is sent, the last final awaited, and the session ends."""
        self._tell(self._session.end_input)

    def offer(self, audio: bytes) -> bool:
        """Give a piece of audio now, in place of ``send_audio``, from code that cannot wait; whether it was taken.

        Not taken is what would have to wait, and what comes after the end of the session: ``send_audio`` says why.
        Raises ``LocalProtocolError`` as that does. Audio that is offered while ``send_audio`` waits comes before it.
        """
        driver = self._driver
        if not driver.takes():
            return False
        driver.tell(self._session.send_audio, audio)
        return True

    def listen(self, told: Callable[[Event], None]) -> None:
        """Call ``told`` with each event as it comes, in place of iterating; with those that wait already at once.

        Iterating then gives nothing and ends after the last event, with what ``told`` raised first, else as ever.
        ``told`` may call what does not wait.
        """
        self._driver.on_event = told
        for event in self.waiting():
            self._driver.give(told, event)

    def waiting(self) -> Iterator[Event]:
        """The events that have come so far and were not taken yet."""
        while self._driver.outputs:
            yield self._driver.outputs.popleft()

    def _tell(self, told: Callable[..., None], *args: Any) -> None:
        self._driver.check()
        self._driver.tell(told, *args)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event: Event | None = await self._driver.next()
        if event is None:
            self._driver.check()
            raise StopAsyncIteration
        return event
