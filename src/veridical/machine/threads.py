"""Threads that work on several items at once: for files, or for numeric work that releases Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def map_in_threads(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    threads: int,
    *,
    waiting: int,
    ordered: bool = True,
    start_thread: Callable[[], None] | None = None,
) -> Generator[ResultT]:
    """Yield `function(item)` of each item; what it raises is raised here.

    Args:
        function: Called in the threads.
        items: Any number; not more than `threads` + `waiting` are worked on or waiting at once.
        threads: At least 1.
        waiting: Items that may wait for a thread, or results for being taken.
        ordered: Whether results come in the order of the items, or as they are done.
        start_thread: Called once in each thread, before its first item.
    """
    source = iter(items)
    with ThreadPoolExecutor(threads, initializer=start_thread) as pool:
        running: list[Future[ResultT]] = []
        try:
            while True:
                running += [pool.submit(function, item) for item in islice(source, threads + waiting - len(running))]
                if not running:
                    return
                done = running[0] if ordered else wait(running, return_when=FIRST_COMPLETED).done.pop()
                running.remove(done)
                yield done.result()
        finally:
            for future in running:
                future.cancel()
