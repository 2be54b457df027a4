"""Files as people have them, on the command line: all is transcribed, or it is said what is not."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_transports.cli.app import commands
from smallest_transports.cli.problems import KEY_VARIABLE

from .stage import RunServer

LIVE = pytest.mark.parametrize("live", [[], ["--live"]], ids=["http", "live"])


def transcribe(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["transcribe", *map(str, arguments)], env={KEY_VARIABLE: "sk_0123456789abcdef"})


def coded(*words: int, format: str = "WAV", rate: int = 16000, subtype: str = "PCM_16", channels: int = 1) -> bytes:
    """Words that can be told from one another, in a file."""
    pcm = np.frombuffer(coded_speech([*words, 0.5], sample_rate=rate).pcm, "<i2")
    file = io.BytesIO()
    soundfile.write(file, np.repeat(pcm[:, None], channels, axis=1), rate, subtype=subtype, format=format)
    return file.getvalue()


@LIVE
@pytest.mark.parametrize("joined", ["wav", "flac", "wav-without-lengths"])
def test_joined_files_are_transcribed_to_the_end(
    live: list[str], joined: str, run_server: RunServer, tmp_path: Path
) -> None:
    format = "FLAC" if joined == "flac" else "WAV"
    pieces = [coded(1, 2, format=format), coded(3, format=format), coded(4, 5, format=format)]
    if joined == "wav-without-lengths":
        pieces = [piece[:40] + bytes(4) + piece[44:] for piece in pieces]
    (tmp_path / "joined").write_bytes(b"".join(pieces))
    result = transcribe(*live, "--base-url", run_server(CodedRecogniser), tmp_path / "joined")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "w1 w2 w3 w4 w5\n", "")


@LIVE
@pytest.mark.parametrize("sides", [(1, -1), (-1, 1), (1, -1, 1), (0, 0, 1, 0, 0, 0)], ids=str)
def test_no_voice_is_lost_in_the_mix(
    live: list[str], sides: tuple[int, ...], run_server: RunServer, tmp_path: Path
) -> None:
    """Coded audio does not survive a mix: a tone does, and what is heard is its level."""
    heard: list[int] = []

    class Level:
        def __init__(self, asked: Any) -> None:
            pass

        def hear(self, audio: bytes) -> tuple[()]:
            heard.append(int(np.abs(np.frombuffer(audio, "<i2").astype(int)).max()))
            return ()

        def finalize(self) -> tuple[()]:
            return ()

    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    soundfile.write(tmp_path / "a.wav", tone[:, None] * np.array(sides), 16000)
    result = transcribe(*live, "--base-url", run_server(Level), tmp_path / "a.wav")
    assert result.exit_code == 0, result.stderr
    assert max(heard) > 0.45 * 32768


@LIVE
def test_what_is_damaged_is_told_beside_what_was_heard(live: list[str], run_server: RunServer, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-9, 9, 160_000).astype(np.int16)  # heard as words that nobody knows
    speech = np.frombuffer(coded_speech([1, 2, 0.5]).pcm, "<i2")
    soundfile.write(tmp_path / "a.flac", np.concatenate((speech, noise)), 16000)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    result = transcribe(*live, "--base-url", run_server(CodedRecogniser), tmp_path / "a.flac")
    assert result.exit_code == 1
    assert result.stdout.startswith("w1 w2")
    said = r"what comes after \d\.\d s, as the file is damaged" if live else r"the service heard \d\.\d s of its 1\d"
    assert re.search(rf"a\.flac: .*{said}", result.stderr)


def test_what_breaks_off_is_told_and_is_no_failure(run_server: RunServer, tmp_path: Path) -> None:
    wav = coded(1, 2, 3)
    (tmp_path / "a.wav").write_bytes(wav[:-20000])
    result = transcribe("--live", "--base-url", run_server(CodedRecogniser), tmp_path / "a.wav")
    assert result.exit_code == 0
    assert result.stdout.startswith("w1 w2")
    assert re.search(r"a\.wav: breaks off: its head tells of \d\.\d s, and there are \d\.\d s", result.stderr)


class TestRaw:
    @LIVE
    @pytest.mark.parametrize(
        ("encoding", "subtype", "rate"), [("linear16", "PCM_16", 16000), ("linear32", "PCM_32", 16000)]
    )
    def test_samples_are_what_they_are_said_to_be(
        self, live: list[str], encoding: str, subtype: str, rate: int, run_server: RunServer, tmp_path: Path
    ) -> None:
        data = coded(7, 8, format="RAW", rate=rate, subtype=subtype)
        (tmp_path / "a.pcm").write_bytes(data + b"\1")
        options = ("--encoding", encoding, "--rate", rate, "--base-url", run_server(CodedRecogniser))
        result = transcribe(*live, *options, tmp_path / "a.pcm")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "w7 w8\n", "")

    @LIVE
    @pytest.mark.parametrize(("encoding", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
    def test_of_telephones(
        self, live: list[str], encoding: str, subtype: str, run_server: RunServer, tmp_path: Path
    ) -> None:
        soundfile.write(tmp_path / "a.raw", np.zeros(16000), 8000, subtype=subtype, format="RAW")
        options = ("--encoding", encoding, "--rate", 8000, "-f", "json", "--base-url", run_server())
        result = transcribe(*live, *options, tmp_path / "a.raw")
        assert result.exit_code == 0, result.stderr
        assert '"duration": 2.0' in result.stdout

    @LIVE
    @pytest.mark.parametrize(
        ("file", "said"),
        [
            (coded(1, rate=44100), "a file of 44100 Hz with 1 channel"),
            (coded(1, format="FLAC", channels=2), "a file of 16000 Hz with 2 channels"),
        ],
        ids=["wav", "flac"],
    )
    def test_a_file_that_says_otherwise_is_refused_with_what_it_says(
        self, live: list[str], file: bytes, said: str, run_server: RunServer, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(file)
        options = ("--encoding", "linear16", "--rate", 16000, "--base-url", run_server())
        result = transcribe(*live, *options, tmp_path / "a")
        assert result.exit_code == 1
        assert f"a: is no raw audio, but {said}: leave out the encoding and the rate" in result.stderr

    @pytest.mark.parametrize("options", [("--encoding", "mulaw"), ("--rate", 8000)], ids=str)
    def test_one_of_the_two_is_not_enough(self, options: tuple[object, ...], tmp_path: Path) -> None:
        result = transcribe(*options, "--local", tmp_path / "a")
        assert result.exit_code == 2
        assert "raw samples need both" in result.stderr

    @LIVE
    def test_without_them_it_is_said_that_they_are_needed(
        self, live: list[str], run_server: RunServer, tmp_path: Path
    ) -> None:
        (tmp_path / "a.pcm").write_bytes(np.random.default_rng(2).bytes(3200))
        result = transcribe(*live, "--base-url", run_server(), tmp_path / "a.pcm")
        assert result.exit_code == 1
        assert "raw samples need their encoding and rate" in result.stderr


@LIVE
@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("webm", "libopus")])
@pytest.mark.parametrize("installed", [True, False], ids=["with-pyav", "without"])
def test_films_are_heard_where_pyav_is(
    live: list[str],
    container: str,
    codec: str,
    installed: bool,
    run_server: RunServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    av: Any = pytest.importorskip("av")
    with av.open(str(tmp_path / "a"), "w", format=container) as made:
        stream = made.add_stream(codec, rate=48000, layout="stereo")
        for at in range(0, 96000, 960):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 960), np.float32), format="fltp", layout="stereo")
            frame.rate, frame.pts = 48000, at
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    if not installed:
        monkeypatch.setitem(sys.modules, "av", None)
    result = transcribe(*live, "--base-url", run_server(), tmp_path / "a")
    if installed:
        assert (result.exit_code, result.stdout, result.stderr) == (0, "It was the best.\n", "")
    else:
        assert result.exit_code == 1
        assert 'needs PyAV: pip install "smallest-proto[media]"' in result.stderr
