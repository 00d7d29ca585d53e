"""Threads: every item once, in order or as done, never more than there is room for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from veridical.machine import map_in_threads


def test_results_in_the_order_of_the_items() -> None:
    first_may_end = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert first_may_end.wait(30)
        if item == 2:
            first_may_end.set()
        return item

    assert list(map_in_threads(work, range(9), 2, waiting=2)) == list(range(9))


def test_results_as_they_are_done() -> None:
    """A slow item holds up no other."""
    over = threading.Event()
    results = map_in_threads(lambda item: item or over.wait(30), range(5), 2, waiting=1, ordered=False)
    quick = {next(results) for _ in range(4)}
    over.set()
    assert quick == {1, 2, 3, 4}
    assert list(results) == [True]


def test_items_are_taken_as_there_is_room() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = map_in_threads(str, items(), 2, waiting=3)
    assert next(results) == "0"
    assert len(taken) == 5
    assert next(results) == "1"
    assert len(taken) == 6
    results.close()


def test_errors_come_out_and_threads_are_started() -> None:
    started: list[str] = []
    results = map_in_threads(
        lambda item: 1 // item,
        [1, 0],
        1,
        waiting=0,
        start_thread=lambda: started.append(threading.current_thread().name),
    )
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(started) == 1
    assert started != [threading.current_thread().name]
