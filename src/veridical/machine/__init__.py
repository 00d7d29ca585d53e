"""This machine, without torch: its cores, its memory, and worker processes that may die or hang."""

from veridical.machine.cores import ONE_THREAD, num_cores
from veridical.machine.memory import keep_large_blocks
from veridical.machine.processes import MAX_DEATHS_IN_A_ROW, Lost, WorkerFailedError, run_jobs

__all__ = [
    "MAX_DEATHS_IN_A_ROW",
    "ONE_THREAD",
    "Lost",
    "WorkerFailedError",
    "keep_large_blocks",
    "num_cores",
    "run_jobs",
]
