"""Audio to a loudspeaker that only writes down what it is given, and to none."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from smallest_transports.cli.playing import Player
from smallest_transports.cli.problems import Problem, explain

from .stage import PlugIn


def test_all_of_it_is_heard_in_order(plug_in: PlugIn) -> None:
    loudspeaker = plug_in()
    pcm = bytes(range(256)) * 100
    with Player(8000) as player:
        player.play(pcm[:10000])
        player.play(pcm[10000:])
        asyncio.run(player.finish())
    assert loudspeaker.opened == {"samplerate": 8000, "channels": 1, "dtype": "int16"}
    assert b"".join(loudspeaker.played) == pcm
    assert max(map(len, loudspeaker.played)) <= 1600
    assert loudspeaker.done == ["start", "stop", "close"]


def test_it_stops_in_the_middle_when_it_is_left(plug_in: PlugIn) -> None:
    loudspeaker = plug_in()
    with Player(8000) as player:
        loudspeaker.takes_its_time = lambda: player._stopped.wait(30)
        player.play(bytes(160_000))
        assert loudspeaker.at_work.wait(30)
    assert len(loudspeaker.played) == 1
    assert loudspeaker.done == ["start", "abort", "close"]


def test_a_device_that_fails_is_told(plug_in: PlugIn) -> None:
    plug_in(broken=True)
    with Player(8000) as player:
        player.play(bytes(100))
        with pytest.raises(Problem, match="the sound device failed: -o writes a file"):
            asyncio.run(player.finish())


def test_where_there_is_none(plug_in: PlugIn) -> None:
    plug_in(absent=True)
    with pytest.raises(Problem, match="no sound device that can be used"):
        Player(8000)


def test_without_its_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Problem, match="apt install libportaudio2"):
        Player(8000)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        Player(8000)
    assert explain(caught.value) == 'sounddevice is not installed: pip install "smallest-proto[cli]"'
