"""Workers: every job comes back once, whatever happens to the process that did it."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from tests.base.clock import Clock
from tests.machine.working import obedient, stillborn, unwilling

from veridical.machine import Lost, WorkerFailedError, processes, run_jobs


@pytest.mark.parametrize("workers", [0, 2])
def test_every_job_once(workers):
    results = dict(run_jobs(range(20), obedient, workers=workers, timeout_s=60))
    assert results == {number: ("done", number) for number in range(20)}


def test_crashes_and_time_limits_cost_one_job_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    jobs = ["one", "crash", "two", "die", "sleep", "three", "environment"]
    clock = Clock()
    monkeypatch.setattr(processes, "time", clock)
    run = clock.forward_after(run_jobs, len(jobs) - 1, seconds=600)
    results = dict(run(jobs, obedient, workers=2, timeout_s=600))
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert set(results) == set(jobs)
    assert {name: results[name] for name in ("one", "two", "three")} == {
        name: ("done", name) for name in ("one", "two", "three")
    }
    assert results["environment"] == "1"
    lost = {name: result for name, result in results.items() if isinstance(result, Lost)}
    assert {name: item.kind for name, item in lost.items()} == {"crash": "died", "die": "died", "sleep": "timeout"}
    assert "SIGSEGV" in lost["crash"].reason
    assert "exit code 7" in lost["die"].reason
    assert lost["sleep"].seconds > 600


def test_what_would_fail_every_job_ends_the_run():
    with pytest.raises(WorkerFailedError, match="no weights here"):
        list(run_jobs([1, 2], unwilling, workers=1, timeout_s=60))
    with pytest.raises(WorkerFailedError, match=r"cannot be kept alive: .*exit code 3"):
        list(run_jobs([1, 2], stillborn, workers=1, timeout_s=60))
    with pytest.raises(WorkerFailedError, match="disk full"):
        list(run_jobs(["full"], obedient, workers=1, timeout_s=60))


def test_leaving_early_ends_the_workers():
    before = set(multiprocessing.active_children())
    results = run_jobs(["one", "sleep", "sleep"], obedient, workers=1, timeout_s=60)
    assert next(results) == ("one", ("done", "one"))
    (worker,) = set(multiprocessing.active_children()) - before
    results.close()
    assert not worker.is_alive()


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_a_signal_to_all_processes_of_a_job_loses_nothing_in_the_workers(how):
    """A terminal and a scheduler send theirs to the workers, too; only the parent decides."""
    assert list(run_jobs([how], obedient, workers=1, timeout_s=60)) == [(how, ("done", how))]
