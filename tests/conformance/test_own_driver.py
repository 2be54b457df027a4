"""What the driver of ``examples/own_driver.py`` passes, and, as honestly, what not.

Over plain sockets it keeps the promise that counts, whatever the network does. The other subjects ask for what it never
set out to do: errors by name where an application awaits, being called off, files, speech, proxies.
"""

from __future__ import annotations

from smallest_transports.testing.conformance import Driver, suite

from .own import OwnClient

LACKS = {
    "test_promises_every_word*-tls*": "it trusts whom the machine trusts: it takes no certificates of one's own",
    "test_promises_a_finalize_is_answered*": "it reads a file: nobody can finalize in the middle",
    "test_events_an_event_comes_without*": "it reads a file: nobody can finalize in the middle",
    "test_messages_all_that_is_given*": "it reads a file: nobody can finalize in the middle",
    "test_promises_an_update_in_mid_word*": "it reads a file: nobody can update in the middle",
    "test_promises_a_change_of_sample_rate*": "it reads a file: nobody can update in the middle",
    "test_retries_*": "it transcribes live alone: no files, no speech, no voices",
}

TestOwnDriver = suite(Driver("own", OwnClient, lacks=LACKS), only=("promises", "events", "messages", "retries"))
