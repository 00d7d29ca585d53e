"""Reading clips for training and scoring: batches in the order asked for, decoded ahead in threads, within bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from veridical.clips.clip import Clip
from veridical.clips.store import ClipStore, Rows


def iter_batches(
    store: ClipStore, batches: Iterable[Rows], *, threads: int = 1, read_ahead: int = 4
) -> Iterator[list[Clip]]:
    """Yield the clips of each batch of rows, in the order given; rows may repeat within and between batches.

    Reading and JPEG decoding happen in threads (both release Python's lock) while the caller works on the batches before.
    Not more than `read_ahead` + 1 batches are in memory at once, whatever the number of batches; an endless iterable is fine.

    Args:
        store: The opened store.
        batches: Rows of `store.index()`, a sequence per batch.
        threads: Threads that read and decode.
        read_ahead: Batches that are read before they are asked for; 0 reads each when it is asked for.

    Raises:
        IndexError: when a row is not in the store.

    Example:
        >>> for clips in iter_batches(store, [[0, 1], [2, 3]]):  # doctest: +SKIP
        ...     print(len(clips))
    """
    if threads < 1 or read_ahead < 0:
        raise ValueError(f"expected threads >= 1 and read_ahead >= 0, got {threads} and {read_ahead}")
    if read_ahead == 0:
        yield from (store.take(rows) for rows in batches)
        return
    waiting: deque[Future[list[Clip]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="clips")
    try:
        for rows in batches:
            waiting.append(pool.submit(store.take, rows))
            if len(waiting) > read_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def iter_clips(
    store: ClipStore, rows: Rows, *, batch_size: int = 32, threads: int = 1, read_ahead: int = 4
) -> Iterator[Clip]:
    """Yield single clips in the order of `rows`, read as `iter_batches` reads them."""
    batches = (rows[first : first + batch_size] for first in range(0, len(rows), batch_size))
    for clips in iter_batches(store, batches, threads=threads, read_ahead=read_ahead):
        yield from clips
