"""A worker that dies of one forgery and hangs in another; in a file of its own because workers import it by name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from veridical.forgery.making import Job, Outcome


def unlucky_maker() -> Callable[[Job], list[Outcome]]:
    def make(job: Job) -> list[Outcome]:
        if (job.method, job.target.video_id) == ("desync", "d/p0/0"):
            os.abort()
        if (job.method, job.target.video_id) == ("desync", "d/p1/0"):
            time.sleep(120)
        return [Outcome(job.target.video_id, job.method, "ok")]

    return make
