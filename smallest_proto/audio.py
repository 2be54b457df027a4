"""Audio as the service takes it: formats, positions in samples, messages of 50 ms.

Positions are whole samples of one format's clock; seconds are made at the edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, get_args

from .buffers import check_raw, read_buffer
from .errors import ConfigurationError, LocalProtocolError
from .values import Value

if TYPE_CHECKING:
    from typing_extensions import Buffer  # the standard library has it since 3.12

Encoding: TypeAlias = Literal["linear16", "linear32", "alaw", "mulaw", "opus", "ogg_opus"]

SAMPLE_RATES = (8000, 16000, 22050, 24000, 44100, 48000)  # Hz, those of the live service
MAX_MESSAGE_BYTES = 8192  # the vendor's advice, which audio is cut to; longer messages pass
MAX_PACKET_BYTES = 2**20  # of one packet or page; a page of Ogg has 65,307 at most (RFC 3533)

# Bytes of one sample; the packets of opus have no fixed width and pass through whole.
_SAMPLE_WIDTHS: dict[str, int] = {"linear16": 2, "linear32": 4, "alaw": 1, "mulaw": 1}
_OPUS_CLOCK = 48000  # Hz: Opus counts time in 48 kHz samples whatever it was made from (RFC 6716, RFC 7845)


class AudioFormat(Value, frozen=True, kw_only=True):
    """One encoding at one sample rate, mono.

    Raises ``ConfigurationError`` for an encoding or a rate that the service does not have.
    """

    encoding: Encoding = "linear16"
    sample_rate: int = 16000  # Hz

    def __post_init__(self) -> None:
        if self.encoding not in get_args(Encoding):
            raise ConfigurationError(f"encoding must be one of {', '.join(get_args(Encoding))}, not {self.encoding!r}")
        if not isinstance(self.sample_rate, int) or self.sample_rate not in SAMPLE_RATES:
            raise ConfigurationError(
                f"sample_rate must be one of {', '.join(map(str, SAMPLE_RATES))} Hz, not {self.sample_rate!r}: "
                "resample the audio first"
            )

    @property
    def sample_width(self) -> int | None:
        """Bytes of one sample, or ``None`` where packets carry their own length (opus, ogg_opus)."""
        return _SAMPLE_WIDTHS.get(self.encoding)

    @property
    def clock_rate(self) -> int:
        """Positions per second (Hz): the sample rate, or 48000 for opus."""
        return self.sample_rate if self.encoding in _SAMPLE_WIDTHS else _OPUS_CLOCK

    @property
    def message_samples(self) -> int:
        """Samples of one full message: 50 ms, or less where 50 ms would be over 8192 bytes (linear32 over 40 kHz)."""
        width = self.sample_width
        return self.clock_rate // 20 if width is None else min(self.sample_rate // 20, MAX_MESSAGE_BYTES // width)

    def seconds(self, samples: int) -> float:
        """How many seconds ``samples`` last."""
        return samples / self.clock_rate

    def samples(self, seconds: float) -> int:
        """The sample nearest to ``seconds``."""
        return round(seconds * self.clock_rate)


class Chunk(Value, frozen=True, gc=False):
    """One audio message: ``data`` begins at sample ``start`` of the stream and ends before sample ``end``."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"data"})

    start: int
    end: int
    data: bytes


class Framer:
    """Cuts audio of any chunk sizes into messages of exactly ``format.message_samples`` samples.

    The same audio gives the same messages however it was split. A part of a sample waits for its other part.
    Audio is copied at most once, and not at all where a chunk is a message already.
    """

    __slots__ = (
        "_format",
        "_message_bytes",
        "_message_samples",
        "_ogg_start",
        "_parts",
        "_pending",
        "_start",
        "_width",
    )

    def __init__(self, format: AudioFormat, start: int = 0) -> None:
        self._format = format
        self._width = format.sample_width
        self._message_samples = format.message_samples
        # -1: packets pass through as they are, and no chunk has the size of a message
        self._message_bytes = self._message_samples * self._width if self._width else -1
        self._parts: list[bytes] = []
        self._pending = 0  # bytes in parts
        self._start = start  # the sample at which parts begin
        self._ogg_start = start  # the sample at which the current Ogg stream begins

    @property
    def position(self) -> int:
        """The end of the audio given so far, in whole samples."""
        return self._start + (self._pending // self._width if self._width else 0)

    def push(self, audio: Buffer) -> list[Chunk]:
        """Take audio; return the messages that are full now, in order.

        Raises ``LocalProtocolError``, and takes nothing, if it is not bytes-like, if its items are not the samples of
        the format (float32 where linear16 is due, two channels), if the first of it is the head of a file that says
        otherwise (a WAV of 44.1 kHz where 16 kHz was set), or if a packet is longer than the service takes.
        """
        if type(audio) is bytes:
            size = len(audio)
            if size == self._message_bytes and not self._pending:
                start = self._start
                if not start:
                    check_raw(audio, self._format.encoding, self._format.sample_rate)
                self._start = end = start + self._message_samples
                return [Chunk(start, end, audio)]
            view = memoryview(audio)
        else:
            view = read_buffer(audio, self._format.encoding, self._width)
            size = len(view)
        if not self._start and not self._pending and self._format.encoding != "ogg_opus":
            check_raw(view, self._format.encoding, self._format.sample_rate)
        if self._width is None:
            return self._packet(audio if type(audio) is bytes else bytes(view))
        if self._pending + size < self._message_bytes:
            if size:
                self._parts.append(audio if type(audio) is bytes else bytes(view))
                self._pending += size
            return []
        cut = self._message_bytes - self._pending
        chunks = [self._message(b"".join((*self._parts, view[:cut])))]
        while size - cut >= self._message_bytes:
            chunks.append(self._message(bytes(view[cut : cut + self._message_bytes])))
            cut += self._message_bytes
        self._parts = [bytes(view[cut:])] if cut < size else []
        self._pending = size - cut
        return chunks

    def flush(self) -> Chunk | None:
        """The rest as a shorter message, or ``None``. A part of a sample is kept for the next audio."""
        if self._width is None or self._pending < self._width:
            return None
        tail = b"".join(self._parts)
        whole = self._pending - self._pending % self._width
        self._parts = [tail[whole:]] if whole < self._pending else []
        self._pending -= whole
        return self._message(tail[:whole])

    def _message(self, data: bytes) -> Chunk:
        start = self._start
        self._start = start + len(data) // (self._width or 1)
        return Chunk(start, self._start, data)

    def _packet(self, data: bytes) -> list[Chunk]:
        if not data:
            return []
        if len(data) > MAX_PACKET_BYTES:
            raise LocalProtocolError(
                f"a packet of {len(data)} bytes: send one packet (opus) or one page (ogg_opus) at a time"
            )
        start = self._start
        if self._format.encoding == "opus":
            self._start += opus_packet_samples(data)
        else:
            if data[:4] == b"OggS" and data[5:6] == b"\x02":  # a new stream begins, its clock at 0 (RFC 3533)
                self._ogg_start = start
            self._start = max(start, self._ogg_start + ogg_page_end(data))
        return [Chunk(start, self._start, data)]


def opus_packet_samples(packet: bytes) -> int:
    """Samples at 48 kHz of one Opus packet, from its first bytes (RFC 6716, sections 3.1 and 3.2); 0 if it is empty."""
    if not packet:
        return 0
    config, count_code = packet[0] >> 3, packet[0] & 3
    if config < 12:  # SILK: 10, 20, 40, 60 ms
        frame = (480, 960, 1920, 2880)[config % 4]
    elif config < 16:  # hybrid: 10, 20 ms
        frame = (480, 960)[config % 2]
    else:  # CELT: 2.5, 5, 10, 20 ms
        frame = (120, 240, 480, 960)[config % 4]
    if count_code == 3:
        return frame * (packet[1] & 0x3F) if len(packet) > 1 else 0
    return frame * (1 if count_code == 0 else 2)


def ogg_page_end(data: bytes) -> int:
    """The end in 48 kHz samples of the last Ogg page that ``data`` holds the head of (RFC 3533); 0 if none says it.

    ``data`` begins with a page; a page that is cut short counts, as its rest comes in a chunk that says no position.
    """
    end, at = 0, 0
    while data[at : at + 4] == b"OggS" and len(data) >= at + 27:
        granule = int.from_bytes(data[at + 6 : at + 14], "little", signed=True)
        end = max(end, granule)  # -1: no packet ends on this page
        segments = data[at + 26]
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
    return end
