"""Files as they come: joined, cut off, with heads that lie. All that is in them is read, or it is said what is not."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_transports.local.decoding import Decoder, Raw, Unreadable, is_file
from smallest_transports.local.decoding.containers import shape_of

av: Any = pytest.importorskip("av")

NOISE = np.random.default_rng(1).uniform(-0.5, 0.5, (96_000, 1)).astype(np.float32)
TAG = b"ID3\4\0\0\0\0\1\0" + bytes(128)  # 128 bytes of tag
OLD_TAG = b"TAG" + bytes(125)


def encoded(format: str, seconds: float = 1.0, *, rate: int = 16000, channels: int = 1, subtype: str = "") -> bytes:
    file = io.BytesIO()
    samples = np.repeat(NOISE[: round(seconds * rate)], channels, axis=1)
    with soundfile.SoundFile(file, "w", rate, channels, subtype or None, format=format) as made:
        for at in range(0, len(samples), rate // 4):  # in blocks: some versions of libsndfile fail on long writes
            made.write(samples[at : at + rate // 4])
    return file.getvalue()


def media(container: str, codec: str, seconds: float = 1.0, rate: int = 48000, layout: str = "mono") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as made:
        stream = made.add_stream(codec, rate=rate, layout=layout)
        count = len(av.AudioLayout(layout).channels)
        for at in range(0, round(seconds * rate), 960):
            samples = np.ascontiguousarray(np.repeat(NOISE[at : at + 960], count, axis=1).T)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.rate, frame.pts = rate, at
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return file.getvalue()


def read(data: bytes, **options: Any) -> tuple[float, Decoder]:
    """Seconds of audio, and the decoder for what it has to say."""
    with Decoder(data, **options) as decoder:
        return sum(map(len, decoder.blocks())) / 16000, decoder


def size_of_data(wav: bytes, size: int) -> bytes:
    at = wav.index(b"data") + 4
    return wav[:at] + struct.pack("<I", size) + wav[at + 4 :]


# --- joined ---

KINDS: dict[str, Callable[[float], bytes]] = {
    "wav": lambda seconds: encoded("WAV", seconds),
    "wav-float-stereo": lambda seconds: encoded("WAV", seconds, channels=2, subtype="FLOAT", rate=44100),
    "wav-mulaw": lambda seconds: encoded("WAV", seconds, subtype="ULAW", rate=8000),
    "rf64": lambda seconds: encoded("RF64", seconds),
    "flac": lambda seconds: encoded("FLAC", seconds, rate=24000),
    "aiff": lambda seconds: encoded("AIFF", seconds),
    "caf": lambda seconds: encoded("CAF", seconds),
    "vorbis": lambda seconds: encoded("OGG", seconds, subtype="VORBIS"),
    "opus": lambda seconds: encoded("OGG", seconds, subtype="OPUS", rate=48000),
    "mp3": lambda seconds: encoded("MP3", seconds, rate=22050),
    "mp3-without-a-count": lambda seconds: media("mp3", "libmp3lame", seconds, 44100)[626:],
    "mp3-in-wav": lambda seconds: media("wav", "libmp3lame", seconds, 44100),
    "mp2": lambda seconds: media("mp2", "mp2", seconds),
    "mp4": lambda seconds: media("mp4", "aac", seconds),
    "webm": lambda seconds: media("webm", "libopus", seconds),
    "aac": lambda seconds: media("adts", "aac", seconds),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [(1.0,), (0.5, 1.5), (0.4, 0.4, 0.4)], ids=str)
def test_all_parts_of_joined_files_are_read(kind: str, lengths: tuple[float, ...]) -> None:
    seconds, decoder = read(b"".join(map(KINDS[kind], lengths)))
    assert seconds == pytest.approx(sum(lengths), abs=0.08 * len(lengths))  # encoders pad
    assert (decoder.notes, decoder.missing) == ([], [])
    if kind not in ("webm", "aac"):  # they tell nothing of the whole
        assert decoder.duration == pytest.approx(seconds, abs=0.08 * len(lengths))


@settings(max_examples=30)
@given(st.lists(st.sampled_from(("WAV", "RF64")), min_size=1, max_size=4), st.data())
def test_wav_files_are_joined_whatever_their_heads_say(formats: list[str], draw: st.DataObject) -> None:
    joined, seconds = b"", 0.0
    for format in formats:
        length = draw.draw(st.sampled_from((0.25, 0.5, 1.0)))
        wav = encoded(format, length, rate=draw.draw(st.sampled_from((8000, 16000, 48000))))
        if format == "WAV":
            wav = size_of_data(wav, draw.draw(st.sampled_from((0, 2**32 - 1, 2**31 - 1, 100, 101))))
        joined += wav
        seconds += length
    assert read(joined)[0] == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(
    ("pieces", "seconds"),
    [
        ((TAG, encoded("MP3"), OLD_TAG, TAG, encoded("MP3"), OLD_TAG), 2.0),
        ((encoded("MP3", rate=48000), bytes(5000), encoded("MP3", rate=8000)), 2.0),
        ((encoded("MP3"), b"\xff\xfb not a frame" * 40, encoded("MP3", channels=2)), 2.0),
        ((TAG, TAG, encoded("FLAC"), encoded("FLAC", rate=8000)), 2.0),
        ((encoded("OGG"), encoded("OGG", subtype="OPUS", rate=48000), encoded("OGG", channels=2)), 3.0),
        ((encoded("OGG"), b"junk", encoded("OGG")), 2.0),
        ((encoded("WAV"), b"LIST\4\0\0\0INFO", encoded("WAV"), OLD_TAG), 2.0),
    ],
    ids=["tags", "zeros", "false-sync", "tagged-flac", "codecs", "junk-pages", "chunks-behind"],
)
def test_what_stands_between_is_passed_over(pieces: tuple[bytes, ...], seconds: float) -> None:
    assert read(b"".join(pieces))[0] == pytest.approx(seconds, abs=0.15)


# --- heads that lie ---


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2**32 - 37, 2**31 - 1, 0x7FFFF000, 2, 16000, 15999])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_is_read_to_its_end_where_its_length_cannot_be(size: int, channels: int) -> None:
    wav = size_of_data(encoded("WAV", channels=channels), size)
    for data in (wav, wav[:4] + bytes(4) + wav[8:]):
        seconds, decoder = read(data)
        assert (seconds, decoder.duration) == (1.0, 1.0)
        assert decoder.notes == []


def with_chunk(wav: bytes, chunk: bytes) -> bytes:
    at = wav.index(b"data")
    return wav[:at] + chunk + wav[at:]


@pytest.mark.parametrize(
    "chunk",
    [
        b"abcd\3\0\0\0xyz\0",
        b"abcd\3\0\0\0xyz",  # not filled up
        b"LIST\5\0\0\0INFOx" + b"note\1\0\0\0!",
        b"JUNK\xff\xff\xff\x7f" + bytes(20),  # longer than the file
        b"\0\0\0\0\0\0",  # none at all
        b"bext\x5a\2\0\0" + bytes(602),
    ],
    ids=["odd", "odd-unfilled", "two-unfilled", "too-long", "zeros", "bext"],
)
def test_odd_chunks_hide_no_samples(chunk: bytes) -> None:
    assert read(with_chunk(encoded("WAV", 0.5), chunk))[0] == 0.5
    assert read(with_chunk(encoded("WAV", 0.5), chunk) * 2)[0] == 1.0


def test_what_follows_the_samples_is_no_sound() -> None:
    for behind in (b"LIST\4\0\0\0INFO", b"LIST\0\1\0\0cut off", b"id3 \2\0\0\0xx", OLD_TAG, bytes(100)):
        assert read(encoded("WAV", 0.5) + behind)[0] == 0.5, behind


@pytest.mark.parametrize("size", [0, 1000, 2**32 - 1])
def test_sun_audio_is_read_to_its_end(size: int) -> None:
    sun = encoded("AU")
    assert read(sun[:8] + struct.pack(">I", size) + sun[12:])[0] == 1.0


def test_a_head_alone_holds_no_audio() -> None:
    for data in (encoded("WAV")[:44], size_of_data(encoded("WAV"), 0)[:44], encoded("WAV", 0.0)):
        with pytest.raises(Unreadable, match="holds no audio"):
            Decoder(data)


# --- cut off, damaged ---


@pytest.mark.parametrize(("kind", "note"), [("wav", "tells of 2.0 s, and there are 1.3"), ("rf64", "tells of 2.0 s"),
    ("mp3", "tells of 2.1 s, and there are 1.[34] s"), ("opus", "within a page"), ("vorbis", "within a page"),
    ("webm", "tells of 2.0 s")])  # fmt: skip
def test_what_breaks_off_is_read_and_told(kind: str, note: str) -> None:
    whole = KINDS[kind](2.0)
    seconds, decoder = read(whole[: len(whole) * 2 // 3])
    assert 0.4 < seconds < 1.5
    (said,) = decoder.notes
    assert re.search(f"breaks off.*{note}", said)


@pytest.mark.parametrize("cut", [1, 50, 417, 1000, 2000])
def test_an_mp3_out_of_the_middle_of_a_stream_is_read(cut: int) -> None:
    seconds, _ = read(encoded("MP3", 2.0, rate=44100)[cut:])
    assert seconds > 1.8
    seconds, _ = read(media("mp3", "libmp3lame", 2.0, 44100)[cut : -cut - 1])
    assert seconds > 2.0 - 2 * cut / 16000 - 0.25  # 16000 bytes a second; the first frames need those before them


def test_what_is_damaged_is_named() -> None:
    flac = bytearray(encoded("FLAC", 4.0))
    flac[len(flac) // 2 :] = bytes(len(flac) - len(flac) // 2)
    seconds, decoder = read(bytes(flac) + encoded("FLAC"))
    (missing,) = decoder.missing
    assert missing.startswith(f"what comes after {seconds - 1:.1f} s")
    assert seconds == pytest.approx(3.0, abs=0.5)

    seconds, decoder = read(encoded("FLAC") + encoded("FLAC")[:60] + encoded("FLAC"))
    assert seconds == pytest.approx(2.0, abs=0.01)
    assert "part" in decoder.missing[0] or "damaged" in decoder.missing[0]


SAMPLES = {kind: make(0.3) for kind, make in KINDS.items()}


@pytest.mark.parametrize("rate", [0, 1, 2**31 - 1, 1_929_387_840])
def test_a_rate_that_cannot_be_is_refused_and_fills_no_memory(rate: int) -> None:
    wav = encoded("WAV", 0.1)
    with pytest.raises(Unreadable, match="no audio"):
        Decoder(wav[:24] + struct.pack("<I", rate) + wav[28:])


@pytest.mark.parametrize("loud", [1e38, -3e38, float("inf"), float("nan")])
def test_what_no_microphone_gives_is_still_a_number(loud: float) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.full((8000, 2), loud, np.float32), 44100, "FLOAT", format="WAV")
    with Decoder(file.getvalue()) as decoder:
        assert all(np.isfinite(block).all() for block in decoder.blocks())


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(list(SAMPLES)) | st.binary(max_size=60), max_size=3),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=3)), max_size=5),
)
def test_anything_is_read_or_refused(pieces: list[str | bytes], damage: list[tuple[float, bytes]]) -> None:
    data = bytearray(b"".join(SAMPLES[piece] if isinstance(piece, str) else piece for piece in pieces))
    for place, put in damage:
        at = int(place * len(data))
        data[at : at + 1] = put
    parts = shape_of(bytes(data)).parts
    assert all(0 <= part.start <= part.end <= len(data) for part in parts)
    assert all(one.end <= two.start for one, two in itertools.pairwise(parts))
    with contextlib.suppress(Unreadable), Decoder(bytes(data)) as decoder:
        assert all(np.isfinite(block).all() for block in decoder.blocks())


# --- raw, and media without PyAV ---


@pytest.mark.parametrize(("encoding", "bytes_a_second"), [("linear16", 16000), ("linear32", 32000), ("mulaw", 8000)])
def test_raw_samples_are_what_they_are_said_to_be(encoding: str, bytes_a_second: int) -> None:
    pcm = NOISE.tobytes()[: bytes_a_second * 2]
    for rest in (b"", b"\1"):
        assert read(pcm + rest, raw=Raw(encoding, 8000))[0] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encoded("WAV", rate=44100, channels=2), "44100 Hz with 2 channels"),
        (encoded("FLAC"), "16000 Hz with 1 channel:"),
        (encoded("OGG"), "16000 Hz"),
        (media("mp4", "aac"), "48000 Hz"),
    ],
)
def test_a_file_is_not_taken_for_raw_samples(data: bytes, said: str) -> None:
    assert is_file(data)
    with pytest.raises(Unreadable, match=f"is no raw audio, but a file of {said}.*leave out"):
        Decoder(data, raw=Raw("linear16", 16000))


def test_media_without_pyav_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for data, name in (
        (media("mp4", "aac"), "an MP4"),
        (media("webm", "libopus"), "a WebM"),
        (media("adts", "aac"), "an AAC"),
    ):
        with pytest.raises(Unreadable, match=rf'is {name}.* needs PyAV: pip install "smallest-proto\[media\]"'):
            Decoder(data)
    with pytest.raises(Unreadable, match="no audio file that can be read"):
        Decoder(b"text " * 100)


def test_media_of_several_channels_are_mixed() -> None:
    seconds, _ = read(media("mp4", "aac", 0.5, layout="5.1"))
    assert seconds == pytest.approx(0.5, abs=0.05)


def test_a_film_without_sound_holds_none() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as made:
        stream = made.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        made.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        made.mux(stream.encode(None))
    with pytest.raises(Unreadable, match=r"an MP4 .* holds no audio, or is damaged"):
        Decoder(file.getvalue())


# --- closing ---


def test_closing_from_another_thread_ends_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encoded("WAV", 5.0))
    decoder = Decoder(tmp_path / "a.wav")
    blocks = decoder.blocks()
    assert len(next(blocks)) == 16000
    closing = threading.Thread(target=decoder.close)
    closing.start()
    closing.join()
    assert list(blocks) == []
    assert decoder.notes == []
