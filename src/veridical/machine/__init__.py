"""This machine, and others of a cluster, without torch: cores, memory, threads, and workers that may die or hang."""

from veridical.machine.cluster import check_ray, run_on_cluster
from veridical.machine.cores import num_cores
from veridical.machine.memory import keep_large_blocks
from veridical.machine.processes import Lost, WorkerFailedError, run_jobs
from veridical.machine.threads import map_in_threads

__all__ = [
    "Lost",
    "WorkerFailedError",
    "check_ray",
    "keep_large_blocks",
    "map_in_threads",
    "num_cores",
    "run_jobs",
    "run_on_cluster",
]
