"""Workers that die of one forgery, hang in another, or meet a full disk; in a file of its own as workers import it by name."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from types import SimpleNamespace

from veridical.forgery import making
from veridical.forgery.making import Job, Outcome


def unlucky_maker() -> Callable[[Job], list[Outcome]]:
    def make(job: Job) -> list[Outcome]:
        if (job.method, job.target.video_id) == ("desync", "d/p0/0"):
            os.abort()
        if (job.method, job.target.video_id) == ("desync", "d/p1/0"):
            time.sleep(120)
        return [Outcome(job.target.video_id, job.method, "ok")]

    return make


def full_maker() -> Callable[[Job], list[Outcome]]:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    making.write_video = no_room
    making.read_footage = lambda *_, **__: SimpleNamespace(frames=None, samples=None, fps=25)
    return making.maker()
