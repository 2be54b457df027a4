"""The client without a framework in a process that is forked off: it begins anew there, or says at once what it is not.

Each case is a program of its own: a fork takes along all that a process has, the tests' too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from smallest_transports.testing.conformance.others import Service, serve_by_aiohttp
from smallest_transports.testing.servers import in_thread

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

BEGINNING = """
import os, sys, warnings
from smallest_proto.errors import LocalProtocolError
from smallest_transports.sync import Client

warnings.simplefilter("ignore", DeprecationWarning)  # that threads do not come along: this is what is tested
PCM = bytes(32000)
client = Client(api_key="k", base_url=sys.argv[1], proxy=None)

def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except LocalProtocolError as error:
            print("refused:", error)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def hear():
    print("heard:", client.transcribe(PCM).text)

def live():
    print("live:", [event.text for event in client.transcribe_live([PCM]) if type(event).__name__ == "FinalTranscript"])
"""


def run(program: str) -> list[str]:
    """What a program prints; one that hangs fails."""
    code = BEGINNING + textwrap.dedent(program)
    with in_thread(serve_by_aiohttp(Service(), None)) as url:
        done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_client_that_was_used_is_used_on_in_children_and_theirs() -> None:
    said = run("""
        hear()
        in_child(lambda: (hear(), live(), in_child(live)))
        in_child(hear)
        hear()
    """)
    assert said == ["heard: said in a file"] * 2 + ["live: ['the last']"] * 2 + ["heard: said in a file"] * 2


def test_a_stream_stays_with_its_process() -> None:
    said = run("""
        with client.stream_transcription() as stream:
            next(stream)
            in_child(lambda: stream.send_audio(PCM))
            in_child(lambda: next(stream))
            stream.end_input()
            print(type(list(stream)[-1]).__name__)
        speech = client.synthesize("Hello there.")
        in_child(speech.read)
    """)
    refused = "refused: this began in the process that this one was forked off: begin another one"
    assert said == [refused, refused, "SessionEnded", refused]


def test_what_a_child_leaves_and_closes_is_not_the_parents() -> None:
    said = run("""
        def leave():
            with client.stream_transcription() as stream:
                next(stream)
                if os.fork() == 0:
                    return "child"
                os.wait()
                stream.end_input()
                print(type(list(stream)[-1]).__name__)

        if leave() == "child":
            hear()
            client.close()
            try:
                hear()
            except LocalProtocolError as error:
                print("refused:", error)
            sys.exit()
        hear()
    """)
    assert said[:2] == ["heard: said in a file", "refused: the client is closed: make another one"]
    assert said[2:] == ["SessionEnded", "heard: said in a file"]


def test_a_client_that_is_closed_stays_so() -> None:
    assert run("client.close()\nin_child(hear)") == ["refused: the client is closed: make another one"]
