"""What is computed next does not wait for what is written, and nothing of it is lost."""

from __future__ import annotations

import threading

import pytest

from napari_ies.cohort.row.writing import WritingBeside

LONG = 60
"""Seconds after which a test gives up."""


def taken(writing, *, waiting):
    return list(writing.taken(waiting=waiting))


def test_it_is_written_while_others_compute_and_taken_once():
    computed = threading.Event()
    with WritingBeside() as writing:
        assert taken(writing, waiting=True) == []
        writing.begin(lambda: (computed.wait(LONG), threading.current_thread()))
        assert taken(writing, waiting=False) == []  # it waits for what is computed here
        computed.set()
        ((was_computed, thread),) = taken(writing, waiting=True)
        assert was_computed
        assert thread is not threading.current_thread()
        assert taken(writing, waiting=True) == []


def test_what_goes_wrong_with_it_is_raised_where_it_is_taken():
    def full():
        raise OSError(28, "No space left on device")

    with WritingBeside() as writing:
        writing.begin(full)
        with pytest.raises(OSError, match="No space left"):
            taken(writing, waiting=True)
        writing.begin(lambda: "more")
        assert taken(writing, waiting=True) == ["more"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_whatever_stops_the_others_it_is_written_to_its_end(error):
    go, written = threading.Event(), []

    def work():
        go.wait(LONG)
        written.append("whole")

    def stopped():
        with WritingBeside() as writing:
            writing.begin(work)
            threading.Timer(0.05, go.set).start()
            raise error

    with pytest.raises(error):
        stopped()
    assert written == ["whole"]
