"""Work on several batches at once, each on one core, results in order.

On processors this beats one batch on all cores: the small operations of a mobile backbone meet at a barrier each, and one thread
that is not scheduled holds up all others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from veridical.allocation import keep_large_blocks

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def _start_thread() -> None:
    torch.set_num_threads(1)


def map_ahead(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], threads: int, read_ahead: int = 2
) -> Iterator[ResultT]:
    """Yield `function(item)` in the order of the items, computed in threads that use one core each.

    Args:
        function: Releases Python's lock for most of its time, as tensor work does.
        items: Any number; not more than `threads` + `read_ahead` are worked on or waiting at once.
        threads: At least 1.
        read_ahead: Results that may wait.
    """
    keep_large_blocks()
    waiting: deque[Future[ResultT]] = deque()
    with ThreadPoolExecutor(threads, initializer=_start_thread) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= threads + read_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
