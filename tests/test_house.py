"""The rules of the house: the package, its public names, its files, the README.

Every check is also shown what it must find: one that cannot fail is none.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import re
import subprocess
import sys
import wave
import zipfile
from asyncio.subprocess import PIPE
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType

import pytest
from hatchling.builders.wheel import WheelBuilder

import smallest_proto
from smallest_proto.errors import ConfigurationError
from smallest_proto.reading import Word
from smallest_proto.server.recogniser import CodedRecogniser, PlainRecogniser
from smallest_proto.server.synthesiser import CodedSynthesiser, SpokenPiece

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 450


def house() -> list[Path]:
    """The files of the project: git's list where git can say it, else everything that is neither hidden nor made."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    hidden = re.compile(r"\.(?!ci$|gitignore$)|__pycache__$|build$|dist$")
    files = (path for path in ROOT.rglob("*") if path.is_file())
    return [path for path in files if not any(map(hidden.match, path.relative_to(ROOT).parts))]


def text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""


README = text_of(ROOT / "README.md")
SAMPLES = README + text_of(ROOT / "docs" / "how-to" / "python.md")  # where a server of the test's stands in
MAKEFILE = text_of(ROOT / "Makefile")
PYPROJECT = text_of(ROOT / "pyproject.toml")


# --- what is built ---


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the wheel by name."""
    built = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel"))))
    with zipfile.ZipFile(built) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


# The third shares its namespace with the framework and its other plugins: no __init__.py above it.
PACKAGES = (
    (ROOT, "smallest_proto"),
    (ROOT / "transports", "smallest_transports"),
    (ROOT / "livekit_plugin", "livekit/plugins/smallest_proto"),
)


def test_the_wheel_holds_the_packages_with_their_types_and_nothing_else(wheel: dict[str, str]) -> None:
    for source, package in PACKAGES:
        assert f"{package}/py.typed" in wheel
        kept = (path for path in (source / package).rglob("*") if path.suffix in (".py", ".html", ".css", ".js"))
        files = {path.relative_to(source).as_posix() for path in kept}
        assert files
        assert files <= set(wheel)
    others = [name for name in wheel if ".dist-info/" not in name]
    assert [name for name in others if not any(name.startswith(f"{package}/") for _, package in PACKAGES)] == []


def test_the_wheel_says_what_it_needs_and_brings(wheel: dict[str, str]) -> None:
    def one(end: str) -> str:
        (found,) = [text for name, text in wheel.items() if name.endswith(end)]
        return found

    needs = re.findall(r"^Requires-Dist: ([\w.-]+)[^;\n]*$", one(".dist-info/METADATA"), re.MULTILINE)
    assert needs == ["msgspec"]
    assert "smallest-proto = smallest_transports.cli:main" in one("entry_points.txt")
    assert "Apache License" in one("licenses/LICENSE")


# --- public names ---

# The classes of these modules are public names of the package, but for the tables and parts that others are built from.
# Whatever is called one of DOORS, in any folder, is such a module.
DOORS = ("commands", "config", "errors", "events", "session", "stats")
FRONT = (
    "commands",
    "config",
    "errors",
    "events",
    "http/exchange",
    "http/files",
    "http/voices",
    "stats",
    "synthesis/events",
    "synthesis/session",
    "transcription/events",
    "transcription/session",
)
NOT_AT_THE_DOOR = {"HttpExchange", "Input", "State", "SessionAction", "SessionInput", "SessionState"}


def public_classes(source: str) -> dict[str, str | None]:
    """The public classes that a module defines, each with its docstring."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    return {node.name: ast.get_docstring(node) for node in classes}


def badly_listed(names: Sequence[str], namespace: dict[str, object]) -> list[str]:
    """What is wrong with an ``__all__``; that it is sorted, ruff sees to (RUF022)."""
    return [
        *(f"{name} is there twice" for name in set(names) if names.count(name) > 1),
        *(f"{name} does not exist" for name in names if name not in namespace),
        *(f"{name} is private" for name in names if name.startswith("_") and name != "__version__"),
        *(
            f"{name} has no docstring"
            for name in names
            if isinstance(thing := namespace.get(name), (type, FunctionType))
            and not vars(thing).get("__doc__", thing.__doc__)
        ),
    ]


def test_the_front_door_is_in_order() -> None:
    assert badly_listed(smallest_proto.__all__, vars(smallest_proto)) == []
    assert badly_listed(["a", "a"], {"a": 1})
    assert badly_listed(["a"], {})
    assert badly_listed(["_a"], {"_a": 1})
    assert badly_listed(["a"], {"a": lambda: None})
    assert badly_listed(["A"], {"A": type("A", (int,), {})})


def test_the_front_door_holds_every_class_that_is_meant_for_it() -> None:
    for module in FRONT:
        classes = public_classes(text_of(ROOT / "smallest_proto" / f"{module}.py"))
        assert classes, module
        assert set(classes) - set(smallest_proto.__all__) - NOT_AT_THE_DOOR == set(), module
    assert list(public_classes("class A: ...\ndef b(): ...\nclass _C: ...\n")) == ["A"]


def doors(package: Path) -> set[str]:
    """The modules of a package, in whatever folder, that the front door has to show."""
    paths = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py"))
    return {path.as_posix() for path in paths if path.name in DOORS}


def test_the_front_door_knows_the_rooms(tmp_path: Path) -> None:
    assert doors(ROOT / "smallest_proto") - set(FRONT) == set()
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "events.py").touch()
    assert doors(tmp_path) == {"room/events"}


def unexplained_classes(*folders: Path) -> tuple[int, list[str]]:
    """How many public classes there are in folders and all that is under them, and which have no docstring."""
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    sources = [path for path in sources if not any(re.match("_(?!_)", part) for part in path.parts)]
    classes = [(path, name, text) for path in sources for name, text in public_classes(text_of(path)).items()]
    return len(classes), [f"{path.name}: {name}" for path, name, text in classes if not text]


def test_public_classes_have_docstrings(tmp_path: Path) -> None:
    count, bare = unexplained_classes(ROOT / "smallest_proto", ROOT / "transports")
    assert count > 50
    assert bare == []
    (tmp_path / "room" / "inner").mkdir(parents=True)
    (tmp_path / "room" / "inner" / "x.py").write_text("class A:\n    x = 1\n", "utf-8")
    assert unexplained_classes(tmp_path) == (1, ["x.py: A"])


# --- files ---

# Written so that they do not find themselves.
REGISTRY = re.compile(
    r"(?i)\b(py[p]i\.|python[h]osted|npm[j]s|anacond[a]\.|artifactor[y]|devp[i]|index[-]url|find[-]links)"
)
MACHINE = re.compile(r"(?<![\w.~}/])/(home|Users|root|work|tmp|private|mnt)/\w|\b[A-Za-z]:\\Users")


def lines_with(pattern: re.Pattern[str], text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if pattern.search(line)]


def naps(source: str) -> list[str]:
    """Calls that sleep for longer than it takes to let others run."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        ast.unparse(call)
        for call in calls
        if ast.unparse(call.func).split(".")[-1] == "sleep"
        and [argument.value if isinstance(argument, ast.Constant) else None for argument in call.args] != [0]
    ]


def test_files_are_short() -> None:
    lengths = {path: text_of(path).count("\n") for path in house() if path.suffix == ".py"}
    assert len(lengths) > 20
    assert {str(path): lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_files_name_no_package_registry_and_no_path_of_a_machine() -> None:
    texts = {path: text_of(path) for path in house()}
    found = [
        f"{path.name}: {line}"
        for path, text in texts.items()
        for p in (REGISTRY, MACHINE)
        for line in lines_with(p, text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line", ["pip install --index" + "-url https://x", "see https://py" + "pi.org/p", "files.python" + "hosted.org"]
)
def test_a_registry_is_found(line: str) -> None:
    assert lines_with(REGISTRY, line)


@pytest.mark.parametrize(
    "line", ["open('/" + "home/me/x')", "cd /" + "tmp/y", "C:" + r"\Users\me", "PATH=/" + "root/bin"]
)
def test_a_path_of_a_machine_is_found(line: str) -> None:
    assert lines_with(MACHINE, line)
    assert not lines_with(MACHINE, "POST https://host/home/x, GET {base}/tmp/y and ./root/z")


def test_tests_do_not_sleep() -> None:
    paced = {"benchmarks", "peers"}  # what is run by hand, in real time
    tests = [path for path in (ROOT / "tests").rglob("*.py") if paced.isdisjoint(path.parts)]
    assert [f"{path.name}: {nap}" for path in tests for nap in naps(text_of(path))] == []


def test_a_nap_is_found() -> None:
    bad = "time.sleep(1)\nawait asyncio.sleep(delay)\nawait anyio.sleep(0.1)\nsleep(0.01)"
    assert len(naps(f"async def f():\n    {bad.replace(chr(10), chr(10) + '    ')}")) == 4
    assert naps("async def f():\n    await asyncio.sleep(0)") == []


def other_headings(source: str) -> list[str]:
    """Comments that head a part of a file in a way that is not ``# --- this ---``."""
    alone = re.findall(r"\n\n\n(# .*)\n\n", source)
    return [head for head in alone if not re.fullmatch(r"# --- .* ---", head)]


def test_tests_are_headed_in_one_way() -> None:
    heads = {path.name: other_headings(text_of(path)) for path in (ROOT / "tests").rglob("test_*.py")}
    assert {name: found for name, found in heads.items() if found} == {}
    assert other_headings("a = 1\n\n\n# Files.\n\n\nb = 2\n\n\n# --- bytes ---\n\n\nc = 3\n") == ["# Files."]


# --- pyproject.toml ---


def unexplained(pyproject: str) -> list[str]:
    """Requirements without a word of why they are there. What names the project itself needs none."""
    found, inside, table = list[str](), False, ""
    for line in pyproject.splitlines():
        if line.startswith("["):
            table = line.strip("[] ")
        key = re.match(r"([\w-]+) = \[", line)
        if key:
            inside = table in ("project.optional-dependencies", "dependency-groups") or (table, key[1]) in (
                ("project", "dependencies"),
                ("build-system", "requires"),
            )
        code, _, comment = line.partition("#")
        if inside:
            others = [r for r in re.findall(r'"([^"]+)"', code) if not r.startswith("smallest-proto")]
            found += [] if len(comment.split()) >= 2 else others
        if "]" in re.sub(r'"[^"]*"', "", code):
            inside = False
    return found


def test_every_dependency_says_why() -> None:
    assert unexplained(PYPROJECT) == []
    assert len(re.findall(r'^  "[\w-]+(?:>=|==)', PYPROJECT, re.MULTILINE)) > 15
    bad = '[project]\nname = "x"\ndependencies = [\n  "good>=1",  # it is needed\n  "bad>=1",\n]\n'
    assert unexplained(bad) == ["bad>=1"]
    assert unexplained('[dependency-groups]\ntest = ["smallest-proto[all]", "bad"]\n') == ["bad"]
    assert unexplained('[build-system]\nrequires = ["bad"]\n') == ["bad"]


# --- README, Makefile, .ci/run ---


def make_targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def unknown_commands(readme: str, targets: set[str], commands: set[str]) -> list[str]:
    """What the README tells to type that does not exist."""
    code = "\n".join(
        [*re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL), *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", readme)]
    )
    typed = [line.removeprefix("$ ").strip() for line in code.splitlines()]
    return [
        *(f"make {target}" for line in typed for target in re.findall(r"^make (\w+)", line) if target not in targets),
        *(line for line in typed for name in re.findall(r"^smallest-proto ([\w-]+)", line) if name not in commands),
    ]


def test_the_pages_name_commands_that_exist() -> None:
    commands = importlib.import_module("smallest_transports.cli.app").commands
    targets = make_targets(MAKEFILE)
    assert {"demo", "test", "check", "bench", "help"} <= targets
    pages = [README, *(text_of(page) for page in (ROOT / "docs").rglob("*.md"))]
    assert [wrong for page in pages for wrong in unknown_commands(page, targets, set(commands.commands))] == []
    wrong = "Type `make dinner`.\n```\n$ smallest-proto say-nothing\n```\n"
    assert unknown_commands(wrong, targets, {"serve", "say"}) == ["make dinner", "smallest-proto say-nothing"]


def missing_places(tree: str) -> list[str]:
    """Paths of a folder tree that do not exist: one name a line, two blanks of indent a level, then what it is."""
    missing, parents = [], list[str]()
    for line in filter(str.strip, tree.splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [line.split()[0].rstrip("/")]
        path = "/".join(parents)
        if not (ROOT / path).exists():
            missing.append(path)
    return missing


def test_the_map_of_the_house_is_true() -> None:
    (tree,) = re.findall(r"```text map\n(.*?)```", text_of(ROOT / "docs" / "architecture.md"), re.DOTALL)
    assert len(tree.splitlines()) > 15
    assert missing_places(tree) == []
    assert missing_places("smallest_proto/   the core\n  audio.py   audio\n  no.py      nothing\n") == [
        "smallest_proto/no.py"
    ]


def test_ci_runs_the_readmes_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in text_of(script)
    assert "\nmake test\n" in README


def python_blocks(readme: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", readme, re.DOTALL)


def test_the_readmes_python_is_typed(tmp_path: Path) -> None:
    blocks = python_blocks(SAMPLES)
    assert len(blocks) >= 4
    paths = [tmp_path / f"readme_{number}.py" for number in range(len(blocks) + 1)]
    for path, block in zip(paths, [*blocks, "import smallest_proto\nsmallest_proto.no_such_name\n"], strict=True):
        path.write_text(block, "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert paths[-1].name in errors[0]  # the bad example


@pytest.mark.parametrize("block", python_blocks(SAMPLES))
def test_the_readmes_python_runs(block: str, tmp_path: Path) -> None:
    from smallest_transports.local.server import LocalServer

    words = [Word(text=f"word{n}", start=0.2 * n, end=0.2 * n + 0.1) for n in range(1, 6)]
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", "NONE"))
        file.writeframes(bytes(2 * 32000))

    async def run() -> str:
        local = LocalServer(
            port=0, recogniser=lambda options: PlainRecogniser(words, options), synthesiser=CodedSynthesiser
        )
        async with local as server:
            code = block.replace("http://127.0.0.1:8765", server.base_url)
            assert code != block
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "error", "-c", code), cwd=tmp_path, stdout=PIPE, stderr=PIPE
            )
            printed, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
            return printed.decode()

    printed = asyncio.run(run())
    if "stream_synthesis" in block:
        assert "How are you?" in printed
    else:
        assert " ".join(word.text for word in words) in printed
    if "save(" in block:
        with wave.open(str(tmp_path / "hello.wav")) as made:
            assert made.getnframes() > 0


class Refusing(CodedSynthesiser):
    """A voice that has no letter of the last word."""

    def speak(self, text: str, *, sample_rate: int, speed: float = 1.0) -> Iterator[SpokenPiece]:
        if "ы" in text:
            raise ConfigurationError("this voice has no such letters")
        return super().speak(text, sample_rate=sample_rate, speed=speed)


@pytest.mark.parametrize(
    ("said", "why"), [(" ты?", "this voice has no such letters"), ("🦆", "nothing that can be said")]
)
def test_the_readmes_speech_that_fails_says_so(said: str, why: str, tmp_path: Path) -> None:
    from smallest_transports.local.server import LocalServer

    (block,) = (block for block in python_blocks(SAMPLES) if "stream_synthesis" in block)

    async def run() -> None:
        async with LocalServer(port=0, recogniser=CodedRecogniser, synthesiser=Refusing) as server:
            code = block.replace("http://127.0.0.1:8765", server.base_url)
            tokens = '("Hel", "lo! ", "How ", "are", " you?")'
            assert tokens in code
            code = code.replace(tokens, repr((said,)))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "error", "-c", code), cwd=tmp_path, stdout=PIPE, stderr=PIPE
            )
            printed, errors = await process.communicate()
        assert (process.returncode, printed) == (1, b"")
        assert re.fullmatch(f"not all was spoken: .*{why}.*\n", errors.decode())

    asyncio.run(run())
