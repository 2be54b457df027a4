"""A microphone that is a fake at the seam, or a file, becomes text on the terminal and subtitles in a file."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_transports.cli.app import commands
from smallest_transports.cli.microphone import Meter, Microphone, open_microphone
from smallest_transports.cli.problems import KEY_VARIABLE, Problem

from .stage import KEY, RunServer, StartCommand, WriteAudio


class Sound(ModuleType):
    """Stands in for sounddevice: its microphone hears ``pcm``, and is unplugged then."""

    class PortAudioError(Exception):
        pass

    class RawInputStream:
        def __init__(self, *, samplerate: int, blocksize: int, callback: Callable[..., None], **options: Any) -> None:
            self.sound: Sound = sys.modules["sounddevice"]  # type: ignore[assignment]
            if options["device"] not in (None, 0, "USB"):
                raise ValueError("No input device matching")
            self.sound.opened = {"samplerate": samplerate, "blocksize": blocksize, **options}
            self.size, self.callback, self.finished = 2 * blocksize, callback, options["finished_callback"]
            self.thread = threading.Thread(target=self.run)

        def run(self) -> None:
            for at in range(0, len(self.sound.pcm), self.size):
                piece = self.sound.pcm[at : at + self.size]
                self.callback(memoryview(piece), len(piece) // 2, None, self.sound.overflow)
            self.finished()

        def start(self) -> None:
            self.thread.start()

        def close(self) -> None:
            self.thread.join()

    def __init__(self, pcm: bytes = b"", *, rate: int = 16000, devices: int = 1, overflow: bool = False) -> None:
        super().__init__("sounddevice")
        self.pcm, self.rate, self.devices, self.overflow = pcm, rate, devices, overflow
        self.opened: dict[str, object] = {}

    def check_input_settings(self, *, samplerate: int, **_: object) -> None:
        if not self.devices or samplerate != self.rate:
            raise self.PortAudioError("Invalid sample rate")

    def query_devices(self, device: object = None, kind: str | None = None) -> Any:
        found = {"index": 0, "name": "USB microphone", "max_input_channels": 1, "max_output_channels": 0}
        if kind is not None:
            if not self.devices:
                raise self.PortAudioError("Error querying device -1")
            return {**found, "default_samplerate": float(self.rate)}
        return [found, {"index": 1, "name": "Loudspeaker", "max_input_channels": 0}][: 2 * self.devices]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType | None], None]:
    return lambda sound: monkeypatch.setitem(sys.modules, "sounddevice", sound)  # type: ignore[arg-type]


def typed(*arguments: str, key: str | None = KEY) -> Result:
    return CliRunner().invoke(commands, ["listen", *arguments], env={KEY_VARIABLE: key})


def test_what_a_microphone_hears_is_shown_and_kept_and_its_end_is_told(
    run_server: RunServer, plug: Callable[..., None], tmp_path: Path
) -> None:
    sound = Sound(coded_speech([1, 2, 3]).pcm)
    plug(sound)
    srt = tmp_path / "call.srt"
    result = typed("--base-url", run_server(CodedRecogniser), "--device", "USB", "--to", str(srt))
    assert sound.opened["device"] == "USB"
    assert (sound.opened["samplerate"], sound.opened["channels"], sound.opened["dtype"]) == (16000, 1, "int16")
    assert "the microphone has stopped: was it unplugged?" in result.stderr
    assert result.exit_code == 1
    assert srt.exists()


def test_a_file_in_its_place(run_server: RunServer, write_audio: WriteAudio, tmp_path: Path) -> None:
    vtt = tmp_path / "call.vtt"
    audio = write_audio("call.flac", seconds=1.0, rate=44100, channels=2)
    result = typed("--base-url", run_server(), "--device", str(audio), "--to", str(vtt))
    assert result.exit_code == 0, result.stderr
    assert "It was the best." in result.stdout
    assert "Listening; Ctrl-C ends." in result.stderr
    assert vtt.read_text("utf-8").startswith("WEBVTT")
    assert "It was the best." in vtt.read_text("utf-8")


def test_ctrl_c_ends_it_and_the_last_words_are_kept(
    start_command: StartCommand, run_server: RunServer, write_audio: WriteAudio, tmp_path: Path
) -> None:
    audio, text = write_audio("long.wav", seconds=120.0), tmp_path / "call.txt"
    arguments = ("listen", "--base-url", run_server(), "--device", str(audio), "--to", str(text))
    with start_command(*arguments, **{KEY_VARIABLE: KEY}) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # a final: it hears
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert b"It was the best." in first
    assert (process.returncode, said) == (0, b"Listening; Ctrl-C ends.\n" + f"Written to {text}.\n".encode())
    assert text.read_text("utf-8") == "It was the best.\n"


def test_devices_are_listed_and_need_no_key(plug: Callable[..., None]) -> None:
    plug(Sound())
    result = typed("--list-devices", key=None)
    assert (result.exit_code, result.stdout) == (0, "  0  USB microphone  (default)\n")


@pytest.mark.parametrize(
    ("sound", "arguments", "code", "said"),
    [
        (Sound(devices=0), ["--list-devices"], 1, "no microphone can be used here: --device FILE"),
        (Sound(devices=0), ["--local"], 1, "no microphone can be used here"),
        (None, ["--list-devices"], 1, "sounddevice is not installed"),
        (Sound(), ["--local", "--device", "Sofa"], 2, "--device 'Sofa' names no file and no device"),
        (None, ["--local", "--device", "call.wav"], 1, "'call.wav' names no file, and for a device sounddevice is not"),
        (Sound(), ["--to", "call.doc"], 2, "let the name end in .txt, .json, .srt, .vtt"),
        (Sound(), ["--to", "nowhere/call.srt"], 2, "--to: the directory"),
        (Sound(), ["--fault", "drop@1"], 2, "add --local"),
    ],
)
def test_what_cannot_be_says_what_would_be_right(
    sound: Sound | None, arguments: list[str], code: int, said: str, plug: Callable[..., None]
) -> None:
    plug(sound)
    result = typed(*arguments)
    assert result.exit_code == code, result.output
    assert said in result.output.replace("\n", " ")


async def all_pieces() -> tuple[bytes, list[str]]:
    """What the microphone hears until it is unplugged, and what is said meanwhile."""
    said: list[str] = []
    heard: list[bytes] = []

    async def hear() -> None:
        with open_microphone(None, said.append) as microphone:
            async for piece in microphone.pieces():
                heard.append(piece)

    with pytest.raises(Problem, match="unplugged"):
        await hear()
    return b"".join(heard), said


def test_every_sample_arrives_in_order(plug: Callable[..., None]) -> None:
    pcm = np.arange(-16000, 16000, dtype=np.int16).tobytes()
    plug(Sound(pcm))
    assert asyncio.run(all_pieces()) == (pcm, [])


def test_another_rate_is_resampled_and_what_was_dropped_is_told_once(plug: Callable[..., None]) -> None:
    tone = (8000 * np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000)).astype(np.int16)
    plug(Sound(tone.tobytes(), rate=48000, overflow=True))
    heard, said = asyncio.run(all_pieces())
    samples = np.frombuffer(heard, np.int16)
    assert 15000 < len(samples) <= 16000
    assert 7900 < samples.max() < 8100
    assert [line.startswith("the sound system dropped some audio") for line in said] == [True]


def test_it_can_be_stopped(plug: Callable[..., None]) -> None:
    plug(Sound(bytes(3200)))

    async def stopped() -> list[bytes]:
        with open_microphone(None, print) as microphone:
            assert isinstance(microphone, Microphone)
            microphone.stop()
            return [piece async for piece in microphone.pieces()]

    assert asyncio.run(stopped()) == []


def test_the_meter_shows_how_loud_it_is_and_silence_that_no_microphone_gives() -> None:
    said: list[str] = []
    meter = Meter(said.append)
    assert str(meter) == "░" * 12
    for peak, full in ((2**15 - 1, 12), (2**12, 8), (33, 0)):
        meter.heard(np.array([0, -peak, 5], np.int16).tobytes())
        assert str(meter) == "█" * full + "░" * (12 - full)
    for _ in range(1000):
        meter.heard(bytes(1600))
    assert said == []
    meter = Meter(said.append)
    for _ in range(1000):
        meter.heard(bytes(1600))
    assert said == ["the microphone gives nothing but zeros: it is muted, or this program may not use it"]
