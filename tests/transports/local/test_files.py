"""Files of many kinds, and what is none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.errors import ConfigurationError
from smallest_transports.local.files import read_body, read_samples
from smallest_transports.local.pcm import SAMPLE_RATE, to_linear16
from smallest_transports.local.recordings import two_cities

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)).astype(np.float32)


def encoded(format: str, *, rate: int = 48000, channels: int = 1, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    data = TONE[:: 48000 // rate]
    soundfile.write(file, np.column_stack([data] * channels), rate, format=format, subtype=subtype)
    return file.getvalue()


def loudest(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * SAMPLE_RATE / len(samples))


@pytest.mark.parametrize(
    "data",
    [
        encoded("WAV"),
        encoded("WAV", rate=16000, channels=2, subtype="FLOAT"),
        encoded("WAV", rate=8000, subtype="ULAW"),
        encoded("FLAC", channels=2),
        encoded("OGG", subtype="VORBIS"),
        encoded("OGG", subtype="OPUS"),
        encoded("MP3"),
    ],
    ids=["wav", "wav-float-stereo", "wav-mulaw", "flac-stereo", "ogg-vorbis", "ogg-opus", "mp3"],
)
def test_files_become_mono_at_16_khz(data: bytes, tmp_path: Path) -> None:
    samples = read_samples(data)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(SAMPLE_RATE, rel=0.1)  # MP3 and Opus pad
    assert loudest(samples) == pytest.approx(440, abs=2)
    path = tmp_path / "tone"
    path.write_bytes(data)
    assert np.array_equal(read_samples(path), samples)


def test_what_is_no_number_or_too_loud_is_put_right() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array([np.nan, np.inf, -np.inf, 3.0, 0.25], np.float32), 16000, "FLOAT", format="WAV")
    assert read_samples(file.getvalue()).tolist() == [0.0, 1.0, -1.0, 1.0, 0.25]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the upload is empty"),
        (b"this is text, not audio", "no audio file that can be read"),
        (bytes(5000), "no audio file that can be read"),
        (encoded("FLAC")[:30], "the upload"),
        (encoded("WAV")[:44], "holds no audio"),
    ],
)
def test_what_is_no_audio_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_samples(data, name="the upload")


@settings(max_examples=60)
@given(st.sampled_from((encoded("WAV"), encoded("FLAC"), encoded("OGG"), encoded("MP3"))), st.data())
def test_a_damaged_file_is_read_or_refused(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for at, value in draw.draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=10)):
        if at < len(damaged):
            damaged[at] = value
    try:
        samples = read_samples(bytes(damaged))
    except ConfigurationError:
        return
    assert len(samples)
    assert np.isfinite(samples).all()


def test_paths_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.wav does not exist"):
        read_samples(tmp_path / "missing.wav")
    with pytest.raises(ConfigurationError, match="is a folder"):
        read_samples(tmp_path)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(ConfigurationError, match=r"empty\.wav is empty"):
        read_samples(str(tmp_path / "empty.wav"))


def test_a_file_is_what_is_in_it_whatever_it_is_called(tmp_path: Path) -> None:
    """libsndfile takes ``.raw`` for samples without a header, and then wants to know their rate."""
    (tmp_path / "samples.raw").write_bytes(bytes(3200))
    with pytest.raises(ConfigurationError, match=r"samples\.raw is no audio file that can be read"):
        read_samples(tmp_path / "samples.raw")
    (tmp_path / "wave.RAW").write_bytes(encoded("WAV"))
    assert len(read_samples(tmp_path / "wave.RAW")) == SAMPLE_RATE


def test_an_upload_is_what_its_bytes_say_whatever_is_said_beside_it() -> None:
    """The service drops the encoding of an upload: it hears a file as such, and nothing in raw samples."""
    assert loudest(read_body(encoded("WAV"), "mulaw")) == pytest.approx(440, abs=1)
    assert loudest(read_body(encoded("OGG", subtype="OPUS"), "ogg_opus")) == pytest.approx(440, abs=2)
    assert len(read_body(to_linear16(TONE), "linear16")) == 0
    with pytest.raises(ConfigurationError, match="no audio"):
        read_body(to_linear16(TONE))
    with pytest.raises(ConfigurationError, match="empty"):
        read_body(b"", "linear16")


def test_the_recording_is_there_and_its_text_is_known() -> None:
    recording = two_cities()
    assert soundfile.info(recording.path).duration == pytest.approx(44.4, abs=0.1)
    assert recording.text.startswith("It was the best of times")
