"""The import rule, read off the source: imports point down, the core is pure.

Every check is also shown what it must find: one that cannot fail is none.
"""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (ROOT, ROOT / "transports", ROOT / "livekit_plugin")

# Of the standard library, what neither does I/O nor asks the world anything.
PURE = (
    *(
        "__future__",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "enum",
        "functools",
    ),
    *("heapq", "hmac", "itertools", "json", "math", "operator", "re", "string", "struct", "types", "typing"),
    "unicodedata",
    "urllib.parse",
    "zlib",
)
IMPURE = (
    *("asyncio", "trio", "anyio", "aiohttp", "socket", "ssl", "select", "selectors", "http", "email", "signal"),
    *("time", "datetime", "random", "secrets", "uuid", "logging", "os", "io", "pathlib", "tempfile"),
    *("subprocess", "threading", "multiprocessing", "concurrent", "queue"),
)
# A type; the key of a frame, which no two runs may share, as in wsproto, and no two processes.
HARMLESS = ("os.PathLike", "os.urandom", "os.register_at_fork")
IMPURE_BUILTINS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}

# Which rooms each room may import. Nothing imports upward, neighbours do not look into each other, no driver imports
# another one. What lies flat in the core is its ground; a folder is a room of its own, and has its line here.
GROUND = "smallest_proto"
SERVICES = ("smallest_proto.transcription", "smallest_proto.synthesis")
CORE = (GROUND, *SERVICES, "smallest_proto.http", "smallest_proto.server")
DRIVERS = tuple(f"smallest_transports.{name}" for name in ("asyncio", "trio", "anyio", "aiohttp"))
SHARED = (*CORE, "smallest_transports", "smallest_transports._")
WORLD = "smallest_transports._world"  # what the drivers share which is not pure,
LOOP = "smallest_transports._event_loop"  # what two of them share: asyncio,
THREAD = "smallest_transports._loop_thread"  # and the thread of the one without a framework
PICTURES = "smallest_transports.pictures"
LOCAL, PAGE = "smallest_transports.local", "smallest_transports.local.page"  # its page has a client of the server
SHRINKING = "smallest_transports.shrinking"
ROOMS: dict[str, tuple[str, ...]] = {
    GROUND: (),
    **dict.fromkeys(SERVICES, (GROUND,)),
    **dict.fromkeys(CORE[3:], (GROUND, *SERVICES)),
    "smallest_transports": CORE,
    "smallest_transports._": CORE,  # what the drivers share: _wire and its like
    WORLD: SHARED,
    LOOP: (*SHARED, WORLD),
    "smallest_transports.memory": SHARED,
    **dict.fromkeys(DRIVERS, (*SHARED, WORLD)),
    **dict.fromkeys((DRIVERS[0], DRIVERS[3]), (*SHARED, WORLD, LOOP)),
    THREAD: (),
    "smallest_transports.sync": (*SHARED, DRIVERS[0], THREAD),
    PICTURES: SHARED,
    LOCAL: SHARED,
    PAGE: (*SHARED, LOCAL, DRIVERS[0], PICTURES),
    SHRINKING: SHARED,
    "smallest_transports.cli": (
        *SHARED,
        DRIVERS[0],
        WORLD,
        "smallest_transports.memory",
        LOCAL,
        PAGE,
        PICTURES,
        SHRINKING,
    ),
    "smallest_transports.testing": (*SHARED, WORLD, "smallest_transports.memory", "smallest_transports.local"),
    "smallest_transports.pytest_plugin": (*CORE, "smallest_transports.testing"),
    "livekit.plugins.smallest_proto": (*CORE, "smallest_transports", DRIVERS[3]),
    "__main__": ("smallest_transports.cli",),  # what `python -m` runs, of whichever package: nothing imports it
}
OURS = ("smallest_proto", "smallest_transports", "livekit.plugins.smallest_proto")


class Import(NamedTuple):
    """One imported name with its module, dotted: ``from a.b import c`` is ``a.b.c``."""

    name: str
    typing_only: bool


def within(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def read_imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[Import]:
    package = module if is_package else module.rpartition(".")[0]

    def visit(node: ast.AST, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", typing_only) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.body:
                yield from visit(statement, True)
            for statement in node.orelse:
                yield from visit(statement, typing_only)
        else:
            for child in ast.iter_child_nodes(node):
                yield from visit(child, typing_only)

    yield from visit(tree, False)


def room_of(name: str) -> str | None:
    """The room that a dotted name of ours is in; ``None`` for one that has no place in the table."""
    if within(name, "livekit.plugins.smallest_proto"):
        return "livekit.plugins.smallest_proto"
    top, *rest = name.split(".")
    if rest == ["__main__"]:
        return "__main__"
    if top == GROUND:
        return next((room for room in CORE[1:] if within(name, room)), GROUND)
    if not rest or rest[0][:1].isupper() or rest[0].startswith("__"):
        return top
    for room in (WORLD, LOOP, THREAD, PAGE):
        if within(name, room):
            return room
    room = f"{top}._" if rest[0].startswith("_") else f"{top}.{rest[0]}"
    return room if room in ROOMS else None


def import_breaches(module: str, source: str, *, is_package: bool = False) -> list[str]:
    tree, room, breaches = ast.parse(source), room_of(module), []
    if room is None or (room == GROUND != module and (is_package or module.count(".") > 1)):
        return [f"{module} has no place in ROOMS"]
    pure = room in (*CORE, "smallest_transports._")
    for name, typing_only in read_imports(tree, module, is_package=is_package):
        if within(name, *OURS):
            other = room_of(name)
            door = module == GROUND and other in CORE
            if other not in (room, *ROOMS[room]) and not door and not (typing_only and other == WORLD):
                breaches.append(f"{module} imports {name}: {room} may not import {other}")
            if other in CORE and other != room and any(re.match(r"_(?!_)", part) for part in name.split(".")[1:]):
                breaches.append(f"{module} imports {name}, which is private to its room")
        elif room in CORE and not (
            within(name, *PURE, "msgspec") or (typing_only and within(name, "typing_extensions"))
        ):
            breaches.append(f"{module} imports {name}: the core is pure")
        elif pure and not typing_only and within(name, *IMPURE) and name not in HARMLESS:
            breaches.append(f"{module} imports {name}: what the drivers share is pure")
    if pure:
        breaches += [
            f"{module} calls {node.func.id}()"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS
        ]
    return breaches


def import_circle(sources: dict[str, str], packages: set[str]) -> list[str]:
    """A circle of modules that import one another, be it for their types alone, if there is one."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        graph[module] = set()
        for name, _ in read_imports(ast.parse(source), module, is_package=module in packages):
            while name and name not in sources:  # of a.b.c.Thing the nearest that is a module: a.b.c
                name = name.rpartition(".")[0]
            if name and name != module:
                graph[module].add(name)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def modules(sources: Sequence[Path] = SOURCES) -> dict[str, Path]:
    """Every module of the three packages, in whatever folder, by its dotted name."""
    found = {}
    for source in sources:
        for package in ("smallest_proto", "smallest_transports", "livekit"):
            for path in (source / package).rglob("*.py"):
                parts = path.relative_to(source).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def all_breaches(found: dict[str, Path]) -> list[str]:
    return [
        breach
        for module, path in found.items()
        for breach in import_breaches(module, path.read_text("utf-8"), is_package=path.name == "__init__.py")
    ]


def circle_of(found: dict[str, Path]) -> list[str]:
    packages = {module for module, path in found.items() if path.name == "__init__.py"}
    return import_circle({module: path.read_text("utf-8") for module, path in found.items()}, packages)


def test_point_down() -> None:
    found = modules()
    assert {"smallest_proto", "smallest_proto.audio", "smallest_transports"} <= set(found)
    breaches = all_breaches(found)
    assert not breaches, "\n".join(breaches)


def test_make_no_circle() -> None:
    assert circle_of(modules()) == []


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, str]], dict[str, Path]]:
    """Makes a tree of files, and gives the modules in it."""

    def make(files: dict[str, str]) -> dict[str, Path]:
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, "utf-8")
        return modules([tmp_path])

    return make


def test_in_sub_folders_are_seen(tree: Callable[[dict[str, str]], dict[str, Path]]) -> None:
    """The same checks as above, over trees that are wrong."""
    good = {
        "smallest_proto/__init__.py": "from .http.exchange import A",
        "smallest_proto/link.py": "",
        "smallest_proto/synthesis/__init__.py": "",
        "smallest_proto/synthesis/events.py": "from ..link import a",
        "smallest_proto/http/__init__.py": "",
        "smallest_proto/http/exchange.py": "from ..link import a\nfrom ..synthesis.events import b",
        "smallest_proto/http/deeper/__init__.py": "",
        "smallest_proto/http/deeper/x.py": "from ...link import a",
    }
    found = tree(good)
    assert len(found) == len(good)
    assert (all_breaches(found), circle_of(found)) == ([], [])
    found = tree({"smallest_proto/http/deeper/x.py": "import asyncio\nfrom ...server.answers import a"})
    assert len(all_breaches(found)) == 2
    found = tree({"smallest_proto/http/deeper/x.py": "from ..exchange import a"})
    assert (all_breaches(found), circle_of(found)) == ([], [])
    found = tree({"smallest_proto/http/exchange.py": "def f():\n    from .deeper.x import a"})
    assert set(circle_of(found)) == {"smallest_proto.http.exchange", "smallest_proto.http.deeper.x"}
    found = tree({"smallest_proto/http/exchange.py": "", "smallest_proto/attic/x.py": ""})
    assert all_breaches(found) == ["smallest_proto.attic.x has no place in ROOMS"]
    found = tree({"smallest_proto/attic/x.py": "", "smallest_transports/attic/x.py": ""})
    assert "smallest_transports.attic.x has no place in ROOMS" in all_breaches(found)


def test_between_rooms_go_one_way() -> None:
    graphlib.TopologicalSorter(ROOMS).prepare()
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({**ROOMS, GROUND: ("smallest_proto.http",)}).prepare()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("smallest_proto.link", "import asyncio"),
        ("smallest_proto.link", "def f():\n    import time"),
        ("smallest_proto.link", "from datetime import datetime"),
        ("smallest_proto.link", "import urllib.request"),
        ("smallest_proto.link", "import requests"),
        ("smallest_proto.link", "import typing_extensions"),
        ("smallest_proto.link", "print(1)"),
        ("smallest_proto.link", "from smallest_transports import memory"),
        ("smallest_proto.link", "if TYPE_CHECKING:\n    import smallest_transports.memory"),
        ("smallest_proto.link", "from .http.exchange import HttpExchange"),
        ("smallest_proto.link", "from . import server"),
        ("smallest_proto.link", "if TYPE_CHECKING:\n    from .transcription.session import TranscriptionSession"),
        ("smallest_proto.transcription.sending", "import time"),
        ("smallest_proto.transcription.sending", "open('x')"),
        ("smallest_proto.transcription.session", "from ..synthesis.events import AudioChunk"),
        ("smallest_proto.synthesis.session", "from smallest_proto import transcription"),
        ("smallest_proto.synthesis.session", "from .. import http"),
        ("smallest_proto.synthesis.session", "from ..links import _OVERDUE"),
        ("smallest_proto.http.synthesis", "from ..server.answers import Response"),
        ("smallest_proto.http.synthesis", "from ..synthesis.messages import _decoder"),
        ("smallest_proto.server.synthesis", "import smallest_proto.http.voices"),
        ("smallest_proto.attic.x", ""),
        ("smallest_transports._wire", "import ssl"),
        ("smallest_transports._wire", "from . import memory"),
        ("smallest_transports.trio", "from .asyncio import Client"),
        ("smallest_transports.trio", "from smallest_transports import asyncio"),
        ("smallest_transports.asyncio", "from smallest_transports.local.server import LocalServer"),
        ("smallest_transports.asyncio", "from smallest_proto.transcription.messages import _decoder"),
        ("smallest_transports.asyncio", "import smallest_proto._hidden"),
        ("smallest_transports.local.server", "from ..cli import main"),
        ("smallest_transports.memory", "from . import asyncio"),
        ("smallest_transports.surprise", ""),
        ("livekit.plugins.smallest_proto.stt", "from smallest_transports.asyncio import Client"),
    ],
)
def test_of_the_wrong_kind_are_found(module: str, source: str) -> None:
    assert import_breaches(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("smallest_proto.link", "from collections.abc import Iterator\nfrom .audio import Framer\nimport msgspec"),
        ("smallest_proto.link", "if TYPE_CHECKING:\n    from typing_extensions import Buffer"),
        ("smallest_proto", "from .http.exchange import HttpExchange"),
        ("smallest_proto.http.synthesis", "from .chunks import Chunker\nfrom ..synthesis.events import AudioChunk"),
        ("smallest_proto.server.transcription", "from .answers import A\nfrom ..transcription.turns import B"),
        ("smallest_transports.asyncio", "from smallest_proto.transcription.session import TranscriptionSession"),
        ("smallest_transports._wire", "import wsproto\nfrom smallest_proto.errors import Failure"),
        ("smallest_transports.asyncio", "import asyncio\nimport ssl\nfrom smallest_transports._wire import Socket"),
        ("smallest_transports.asyncio", "from smallest_proto import TranscriptionSession, __version__"),
        ("smallest_transports.cli.demo", "from smallest_transports.local.server import LocalServer"),
        ("livekit.plugins.smallest_proto.stt", "import livekit.agents\nfrom smallest_transports.aiohttp import Client"),
    ],
)
def test_of_the_right_kind_pass(module: str, source: str) -> None:
    assert import_breaches(module, source, is_package=module == GROUND) == []


def test_in_a_circle_are_found() -> None:
    circle = {"p": "", "p.a": "from .b import x", "p.b": "def f():\n    from . import a"}
    assert import_circle(circle, {"p"})
    assert import_circle({**circle, "p.b": "if TYPE_CHECKING:\n    from . import a"}, {"p"})
    assert not import_circle({**circle, "p.b": "from . import c"}, {"p"})


def test_of_the_core_load_nothing_that_touches_the_world() -> None:
    """What the text does not show: modules that come along."""
    names = [name for name in modules() if within(name, "smallest_proto")]
    code = f"import sys, msgspec; a = set(sys.modules); import {', '.join(names)}; print(*sorted(set(sys.modules) - a))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert set(names) <= set(loaded)
    assert [name for name in loaded if within(name, *IMPURE)] == []
