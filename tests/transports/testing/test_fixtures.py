"""The fixtures, as somebody uses them who has installed the package: in a folder elsewhere, in each kind of test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from smallest_transports.testing import speech
from smallest_transports.testing.services import coded_service

SYNC = """
from smallest_proto import Timeouts
FAST = Timeouts(message_interval=0)
from smallest_transports.sync import Client
from smallest_transports.testing import judge, speech

SAID = speech("hello world", 0.9, "how are you", 1.0)

def test_sync(smallest_service):
    with Client(api_key="any", base_url=smallest_service.base_url, timeouts=FAST) as client:
        with client.stream_transcription() as stream:
            stream.send_audio(SAID.pcm)
            stream.end_input()
            assert judge(list(stream), SAID).ok
"""
ASYNC = """
from smallest_proto import Timeouts
FAST = Timeouts(message_interval=0)
import asyncio, anyio, pytest, trio
import smallest_transports.asyncio, smallest_transports.trio, smallest_transports.anyio
from smallest_transports.testing import judge, speech

SAID = speech("hello world", 0.9, "how are you", 1.0)

async def hear(module, url, **options):
    client = module.Client(api_key="any", base_url=url, timeouts=FAST, **options)
    async with client, client.stream_transcription() as stream:
        await stream.send_audio(SAID.pcm)
        await stream.end_input()
        return judge([event async for event in stream], SAID)

def test_asyncio(smallest_service):
    assert asyncio.run(hear(smallest_transports.asyncio, smallest_service.base_url)).ok

def test_trio(smallest_service):
    assert trio.run(hear, smallest_transports.trio, smallest_service.base_url).ok

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.smallest_faults("drop@1")
async def test_anyio(smallest_service):
    assert (await hear(smallest_transports.anyio, smallest_service.base_url)).ok
    assert smallest_service.faults_left == ()

@pytest.mark.parametrize("kind", ["trio"])
def test_tls(kind, smallest_tls, smallest_certificates, tmp_path):
    from smallest_transports.testing.services import coded_service
    with coded_service(ssl_context=smallest_certificates.server()) as service:
        assert service.base_url.startswith("https:")
        heard = asyncio.run(hear(smallest_transports.asyncio, service.base_url, ssl_context=smallest_tls.client))
    assert heard.ok
    assert "BEGIN CERTIFICATE" in smallest_certificates.authority(tmp_path).read_text()
"""
VIRTUAL = """
from smallest_proto import Timeouts
FAST = Timeouts(message_interval=0)
import pytest
from smallest_transports.sync import Client
from smallest_transports.testing import judge, speech

@pytest.mark.smallest_script("hello world", 0.3, "bye", 1.0)
def test_script(smallest_service):
    with Client(api_key="any", base_url=smallest_service.base_url, timeouts=FAST) as client:
        with client.stream_transcription() as stream:
            stream.send_audio(bytes(2 * round(16000 * smallest_service.truth.seconds)))
            stream.end_input()
            assert judge(list(stream), smallest_service.truth, tolerance=0.001).ok

@pytest.mark.smallest_faults("drop@0.4", "refuse:503", "stall:0.5@1x2", "close:1011@1.5", "garbage@1", "no-last")
@pytest.mark.smallest_recogniser("rounding=0.02", "twice")
def test_call(smallest_call):
    call = smallest_call("hello world", 0.9, "how are you", 1.0)
    call.check()
    assert [name for _, name in call.story][:2] == ["refuse:503", "drop"]
    assert call.truth.imperfection.kinds == ("rounding=0.02", "twice")

@pytest.mark.smallest_recogniser("rounding=0.02")
@pytest.mark.smallest_faults("drop@1")
def test_recogniser(smallest_service):
    said = speech(0.3, "hello world", 0.9, "how are you", 1.0)
    with Client(api_key="any", base_url=smallest_service.base_url, timeouts=FAST) as client:
        with client.stream_transcription() as stream:
            stream.send_audio(said.pcm)
            stream.end_input()
            events = list(stream)
    assert judge(events, said, tolerance=0.011).ok
"""


HOPELESS = """
import pytest
@pytest.mark.smallest_faults("drop@5")
def test_nothing_happens(smallest_service):
    assert smallest_service.faults_left == ("drop@5",)
"""
# Each would show nothing, or nothing that can be understood.
VAIN = """
import pytest
mark = pytest.mark

@mark.smallest_faults("drop@99")
def test_call_too_late(smallest_call):
    smallest_call("hello", 1.0)

@mark.parametrize("each", [
    pytest.param(each, marks=each) for each in (
        mark.smallest_faults(3), mark.smallest_faults(["drop"]), mark.smallest_faults(faults=["drop"]),
        mark.smallest_script(None), mark.smallest_script(["hi", 1.0]), mark.smallest_script(script="hi"),
        mark.smallest_recogniser(3), mark.smallest_recogniser(twice=True),
    )
])
def test_mark(smallest_service, each): pass

@mark.smallest_faults("refuse:503")
def test_refused(smallest_call):
    call = smallest_call("hello", 1.0)
    call.check()
    assert call.events[0][1].__class__.__name__ == "LinkLost", call.timeline()
"""
ENGINES = """
import smallest_transports.local as local

def test_without_engines(monkeypatch, request):
    monkeypatch.setattr(local, "_NEEDED", ("no_such_engine",))
    request.getfixturevalue("smallest_engines")
"""
# First of all: what pytest has imported by then.
LIGHT = """
import sys
BEFORE = {*sys.modules}
def test_nothing_is_imported_before_it_is_asked_for():
    assert not {"smallest_proto", "hypothesis", "trustme", "msgspec", "wsproto"} & BEFORE
    ours = {name for name in BEFORE if name.startswith("smallest_transports")}
    assert ours == {"smallest_transports", "smallest_transports.pytest_plugin"}
"""


def test_the_fixtures_serve_each_kind_of_test(tmp_path: Path) -> None:
    files = {"a": LIGHT, "b": SYNC, "c": ASYNC, "d": VIRTUAL, "e": HOPELESS, "f": ENGINES}
    for name, code in files.items():
        (tmp_path / f"test_{name}.py").write_text(code, "utf-8")
    options = ("-q", "-rs", "-W", "error", "--strict-markers", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    # The error is that of a fault which did not happen, at the end of its test.
    assert "11 passed, 1 skipped, 1 error" in said, said
    assert "AssertionError: these faults did not happen: drop@5" in said
    assert 'no no_such_engine here: pip install "smallest-proto[local]"' in said


def test_a_mark_that_would_show_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_vain.py").write_text(VAIN, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "test_vain.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed, 8 errors" in done.stdout, done.stdout + done.stderr
    assert "these faults did not happen: drop" in done.stdout
    assert "smallest_faults(faults=['drop']) on test_mark" in done.stdout
    assert 'give it faults by name, such as "drop@2", one after the other' in done.stdout


def test_the_service_needs_no_model() -> None:
    code = """
import sys
from smallest_transports.testing.services import coded_service
with coded_service() as service:
    assert service.base_url
print(sorted({"numpy", "onnxruntime", "soundfile", "hypothesis", "pytest", "trustme"} & {*sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_engines_are_real(smallest_engines: object) -> None:
    assert getattr(smallest_engines, "base_url", "").startswith("http://127.0.0.1:")


def test_a_scripted_service_says_what_is_to_be_heard() -> None:
    with coded_service(script=("hello", 1.0)) as service:
        assert service.truth == speech("hello", 1.0).truth
