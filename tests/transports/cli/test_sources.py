"""Any file becomes 16 kHz mono in 50 ms pieces; what is no audio is refused in one line."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from smallest_proto.requests import MAX_FILE_BYTES
from smallest_transports.cli.problems import Problem
from smallest_transports.cli.sources import PIECE_SAMPLES, AudioReader, Source, find_source, why_unreadable

from .stage import WriteAudio


def samples_of(source: Source) -> npt.NDArray[np.int16]:
    with AudioReader(source) as reader:
        pieces = list(reader.pieces())
    assert all(len(piece) == 2 * PIECE_SAMPLES for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= 2 * PIECE_SAMPLES
    return np.frombuffer(b"".join(pieces), "<i2")


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 16000, 1), ("b.wav", 8000, 2), ("c.flac", 44100, 2), ("d.ogg", 48000, 1), ("e.mp3", 22050, 2)],
)
def test_any_rate_and_any_channels(write_audio: WriteAudio, name: str, rate: int, channels: int) -> None:
    source = find_source(str(write_audio(name, seconds=2.5, rate=rate, channels=channels)), live=True)
    samples = samples_of(source)
    assert len(samples) == pytest.approx(2.5 * 16000, abs=1600)  # MP3 pads
    spectrum = np.abs(np.fft.rfft(samples[8000:24000]))
    assert np.argmax(spectrum) == 440  # Hz: one second of it was looked at
    assert 0.4 < np.max(np.abs(samples[8000:24000])) / 32768 < 0.6  # OGG and MP3 lose something


def test_16_khz_is_passed_on_to_the_bit(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, 20_001).astype(np.int16)
    soundfile.write(tmp_path / "noise.wav", noise, 16000)
    assert np.array_equal(samples_of(find_source(str(tmp_path / "noise.wav"), live=True)), noise)


def test_stereo_is_mixed_down(tmp_path: Path) -> None:
    left, right = np.full(16000, 0.5), np.full(16000, -0.25)
    soundfile.write(tmp_path / "two.wav", np.stack((left, right), axis=1), 16000)
    assert set(samples_of(find_source(str(tmp_path / "two.wav"), live=True)).tolist()) == {4096}


def test_what_is_too_loud_or_no_number_is_clipped(tmp_path: Path) -> None:
    values = np.array([2.0, -2.0, np.nan, np.inf, -np.inf, 0.5])
    soundfile.write(tmp_path / "loud.wav", values, 16000, subtype="FLOAT")
    assert samples_of(find_source(str(tmp_path / "loud.wav"), live=True)).tolist() == [
        32767, -32768, 0, 32767, -32768, 16384
    ]  # fmt: skip


def test_the_content_decides_and_not_the_name(write_audio: WriteAudio, tmp_path: Path) -> None:
    path = write_audio("a.wav").rename(tmp_path / "speech.raw")
    assert len(samples_of(find_source(str(path), live=True))) == 16000


def test_the_duration_is_known_before_it_is_decoded(write_audio: WriteAudio) -> None:
    with AudioReader(find_source(str(write_audio("a.flac", seconds=1.5, rate=44100)), live=True)) as reader:
        assert reader.duration == 1.5


def test_a_pipe_is_read_to_its_end(write_audio: WriteAudio, tmp_path: Path) -> None:
    data = write_audio("a.wav").read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    source = find_source(str(pipe), live=False)
    writer.join()
    assert source.data == data
    assert len(samples_of(source)) == 16000


def fault(name: str | Path, *, live: bool = False) -> str:
    with pytest.raises(Problem) as caught:
        find_source(str(name), live=live)
    message = caught.value.message
    assert str(name) in message
    assert "\n" not in message
    return message


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    assert "no such file" in fault(tmp_path / "nothing.wav")
    assert "directory" in fault(tmp_path)
    (tmp_path / "empty.wav").touch()
    assert "empty" in fault(tmp_path / "empty.wav")
    assert "cannot be read" in fault(tmp_path / "empty.wav" / "a.wav")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert "cannot be read" in fault(tmp_path / "socket")
    with pytest.raises(Problem, match="no file name"):
        find_source("a\0b", live=False)


def test_more_than_http_takes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with open(tmp_path / "long.wav", "wb") as file:
        file.truncate(300_000_000)  # a hole: nothing is written
    message = fault(tmp_path / "long.wav")
    assert "300 MB" in message
    assert f"{MAX_FILE_BYTES // 10**6} MB" in message
    assert "--live" in message
    assert find_source(str(tmp_path / "long.wav"), live=True).size == 300_000_000


@pytest.mark.parametrize("content", [b"not audio at all, but long enough to hold a header" * 9, b"RIFF", b"\xff\xfb"])
def test_what_is_no_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.wav"
    path.write_bytes(content)
    assert "notes.wav" in (why_unreadable(find_source(str(path), live=False)) or "")
    with pytest.raises(Problem, match=r"notes\.wav: is no audio file .* use WAV"):
        AudioReader(find_source(str(path), live=True))


def test_a_header_without_audio(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(0), 16000)
    with pytest.raises(Problem, match=r"silent\.wav: holds no audio"):
        AudioReader(find_source(str(tmp_path / "silent.wav"), live=True))


def test_a_file_that_is_damaged_in_the_middle(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, 160_000)
    soundfile.write(tmp_path / "whole.flac", noise, 16000)
    data = bytearray((tmp_path / "whole.flac").read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    (tmp_path / "damaged.flac").write_bytes(data)
    with AudioReader(find_source(str(tmp_path / "damaged.flac"), live=True)) as reader:
        read = sum(map(len, reader.pieces())) / 32000
        (missing,) = reader.missing
    assert 4.0 < read <= 5.0  # all before the place
    assert missing == f"what comes after {read:.1f} s, as the file is damaged there"
