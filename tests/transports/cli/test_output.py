"""Files are whole or not there; what could not be written is known before the work is done."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from smallest_transports.cli.output import check_output, output_names, write_file
from smallest_transports.cli.problems import Problem, WrongUse


def test_a_file_is_written_whole_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "one\n")
    write_file(path, "zwei ö\n")
    assert path.read_bytes() == "zwei ö\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_file(tmp_path / "a.txt", "one\n")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_what_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "old\n")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(Problem, match=r"a\.txt: cannot be written: No space left"):
        write_file(path, "new\n")
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real.txt")
    write_file(tmp_path / "link", "one\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "one\n"


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_output(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "one\n")
    reader.join()
    assert read == ["one\n"]
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongUse, match="does not exist: make it first"):
        check_output(tmp_path / "missing" / "a.txt")
    (tmp_path / "file").touch()
    with pytest.raises(WrongUse, match="is no directory"):
        check_output(tmp_path / "file" / "a.txt")
    # For the superuser every directory is writable: the system's answer is given here instead.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WrongUse, match="not writable"):
        check_output(tmp_path / "a.txt")
    with pytest.raises(WrongUse, match="not writable"):
        check_output(tmp_path)


def test_each_file_has_a_name_of_its_own() -> None:
    folder = Path("out")
    assert output_names(folder, ["x/a.wav", "b.tar.mp3", "-"], ".srt") == [
        folder / "a.srt",
        folder / "b.tar.srt",
        folder / "stdin.srt",
    ]
    with pytest.raises(WrongUse, match=r"x/a\.wav and y/a\.mp3 would both become out/a\.srt"):
        output_names(folder, ["x/a.wav", "y/a.mp3"], ".srt")
