"""What the tests of the command line call alike: a key, and what their fixtures do."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEY = "sk_0123456789abcdef"

OnTerminal = Callable[..., tuple[int, bytes, bytes]]
PlugIn = Callable[..., Any]
RunServer = Callable[..., str]
SilentServer = tuple[str, threading.Event]
StartCommand = Callable[..., "subprocess.Popen[bytes]"]
WordsIn = Callable[[bytes, int], list[str]]
WriteAudio = Callable[..., Path]
