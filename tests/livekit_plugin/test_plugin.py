"""The plugin as the framework and the packaging see it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from livekit.agents import Plugin
from livekit.plugins import smallest_proto

HERE = Path(smallest_proto.__file__).parent


def test_it_is_registered_once() -> None:
    ours = [plugin for plugin in Plugin.registered_plugins if plugin.package == "livekit.plugins.smallest_proto"]
    assert [(plugin.title, plugin.version) for plugin in ours] == [
        (smallest_proto.__name__, smallest_proto.__version__)
    ]
    assert ours[0].logger is not None
    assert ours[0].logger.name == "livekit.plugins.smallest_proto"


def test_nothing_stands_in_the_way_of_other_plugins() -> None:
    assert not (HERE.parent / "__init__.py").exists()
    assert not (HERE.parents[1] / "__init__.py").exists()
    assert (HERE / "py.typed").exists()


def test_every_public_name_is_there() -> None:
    for name in smallest_proto.__all__:
        assert getattr(smallest_proto, name) is not None
    assert set(smallest_proto.__all__) <= set(dir(smallest_proto))
    with pytest.raises(AttributeError, match="has no attribute 'Whisper'"):
        smallest_proto.Whisper  # noqa: B018


@pytest.mark.parametrize(("name", "loaded", "left"), [("STT", "stt", "tts"), ("TTS", "tts", "stt")])
def test_each_half_is_loaded_when_it_is_asked_for(name: str, loaded: str, left: str) -> None:
    code = (
        "import sys; from livekit.plugins import smallest_proto as plugin; had = set(sys.modules); "
        f"plugin.{name}; new = set(sys.modules) - had; base = plugin.__name__ + '.'; "
        f"assert base + {loaded!r} in new and base + {left!r} not in new; assert 'smallest_proto' in new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("missing", ["livekit.agents", "aiohttp"])
def test_without_what_it_needs_an_import_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from livekit.plugins import smallest_proto"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'ImportError: the plugin needs LiveKit Agents: pip install "smallest-proto[livekit]"' in done.stderr
