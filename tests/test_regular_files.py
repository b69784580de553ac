"""Regular files only, opened before they are looked at, read no further than asked."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from napari_ies.regular_files import (
    NotRegularError,
    TooLargeError,
    file_sha256,
    open_regular,
    read_json,
    read_regular,
    read_text,
)

unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def in_time(work):
    """Run something that must not wait for ever; return what it raised."""
    raised = []

    def run():
        try:
            work()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for ever"
    return raised[0] if raised else None


@pytest.mark.parametrize("read", [read_regular, read_text, read_json, file_sha256])
@unix
def test_a_pipe_a_device_and_a_folder_are_refused_at_once(read, tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path, kind in ((pipe, "pipe"), (link, "device"), (tmp_path, "folder")):
        error = in_time(lambda path=path: read(path))
        assert isinstance(error, NotRegularError)
        assert kind in error.strerror


@unix
def test_a_socket_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("here")
        with pytest.raises(NotRegularError, match="socket"):
            open_regular("here")


def test_what_is_not_there_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")


def test_no_more_is_read_than_asked(tmp_path):
    file = tmp_path / "five"
    file.write_bytes(b"12345")
    assert read_regular(file, 5) == read_regular(file) == b"12345"
    with pytest.raises(TooLargeError):
        read_regular(file, 4)


def test_the_sum_is_that_of_the_bytes(tmp_path):
    file = tmp_path / "three"
    file.write_bytes(b"abc")
    assert file_sha256(file) == hashlib.sha256(b"abc").hexdigest()


def test_json_of_an_editor_with_a_mark_is_read(tmp_path):
    file = tmp_path / "ФЛЕР.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": [1, "\xd0\xa4"]}')
    assert read_json(file) == {"a": [1, "Ф"]}


@unix
def test_no_file_stays_open(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    numbers = Path("/dev/fd")
    before = len(list(numbers.iterdir()))
    for _ in range(5):
        with pytest.raises(NotRegularError):
            open_regular(pipe)
    assert len(list(numbers.iterdir())) == before
