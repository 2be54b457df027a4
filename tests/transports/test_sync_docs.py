"""What ``help`` says of the sync client is what it says of the asyncio client, but for what only one of them has."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from smallest_transports import _speech, sync
from smallest_transports import asyncio as driver

PAIRS: list[tuple[type[Any], type[Any]]] = [
    (sync.Client, driver.Client),
    (sync.TranscriptionStream, driver.TranscriptionStream),
    (sync.Speech, _speech.Speech),
    (sync.SynthesisStream, _speech.SynthesisStream),
]
# The client says of itself what it is: an event loop's, or a thread's.
DIFFER = {(sync.Client, None)}
ASYNC_WORDS = {"await ": "", "async with": "with", "aclose": "close", "is awaited": "is asked for"}
ONLY_ASYNC = ["; what is cancelled while it waits has not been taken"]  # a call that waits has its thread to itself
ONLY_SYNC = ["One thread may send while another one iterates.", "One thread may write while another one iterates."]
NAMES = {"aclose": "close"}


def in_sync_words(text: str) -> str:
    for word, instead in ASYNC_WORDS.items():
        text = text.replace(word, instead)
    for clause in (*ONLY_ASYNC, *ONLY_SYNC):
        text = text.replace(clause, "")
    return re.sub(r"\s+", " ", text).strip()


def documented() -> list[tuple[type[Any], type[Any], str | None]]:
    """Each pair, with ``None`` for its class and the name of each public method that both have."""
    every: list[tuple[type[Any], type[Any], str | None]] = []
    for ours, theirs in PAIRS:
        names = {NAMES.get(name, name) for name in dir(theirs)} & set(dir(ours))
        every += [(ours, theirs, None), *((ours, theirs, name) for name in sorted(names) if name[0] != "_")]
    return every


def doc(thing: type[Any], name: str | None) -> str:
    if name is not None and not hasattr(thing, name):
        name = next(old for old, new in NAMES.items() if new == name)
    return inspect.getdoc(thing if name is None else getattr(thing, name)) or ""


@pytest.mark.parametrize(("ours", "theirs", "name"), documented())
def test_both_clients_say_the_same_of_a_method(ours: type[Any], theirs: type[Any], name: str | None) -> None:
    if (ours, name) in DIFFER:
        assert doc(ours, name) != doc(theirs, name)
    else:
        assert in_sync_words(doc(ours, name)) == in_sync_words(doc(theirs, name)) != ""


def test_the_words_that_differ_are_still_there() -> None:
    async_docs = " ".join(" ".join(doc(theirs, name).split()) for _, theirs, name in documented())
    sync_docs = " ".join(" ".join(doc(ours, name).split()) for ours, _, name in documented())
    assert all(clause in async_docs and clause not in sync_docs for clause in ONLY_ASYNC)
    assert all(clause in sync_docs and clause not in async_docs for clause in ONLY_SYNC)
    assert len(documented()) > 20
