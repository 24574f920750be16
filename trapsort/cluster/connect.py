"""Finds or starts a cluster: of this machine, by SLURM, or one that runs already."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from trapsort.bundle import Bundle
from trapsort.cluster.tasks import Model
from trapsort.cluster_options import SlurmJobs
from trapsort.errors import InputError
from trapsort.workers import Workers

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster as DaskCluster

CONNECT_SECONDS = 20
WAIT_SECONDS = 60
"""How long workers may take to come; those of a batch system are waited for without an end."""

_log = logging.getLogger(__name__)


@contextmanager
def open_cluster(
    where: str, bundle: Bundle, model: Model, *, slurm: SlurmJobs | None = None, stop: Event
) -> Iterator[Workers]:
    """Yield the workers of `local:N`, `slurm` or `tcp://HOST:PORT`.

    What is started here ends with the block. Raises `InputError` where there is no such cluster,
    or Dask is not installed, and where a cluster that runs already has no workers.
    """
    try:
        import distributed

        from trapsort.cluster.coordinator import Cluster
    except ImportError as error:
        raise InputError(
            "--cluster needs Dask.", 'Install it: pip install "trapsort[cluster]"'
        ) from error
    # Of lost connections and workers `coordinator` says what matters to users.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        address: str | DaskCluster = where
        if where.startswith("local:"):
            address = stack.enter_context(_local(int(where.removeprefix("local:"))))
        elif where == "slurm":
            address = stack.enter_context(_slurm(slurm or SlurmJobs()))
        try:
            client = stack.enter_context(
                distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"There is no Dask scheduler at {where}.",
                "Start one with `dask scheduler`, and workers with `dask worker`.",
            ) from error
        _wait(client, stop, patient=where == "slurm")
        yield Cluster(client, bundle, model)


def _local(count: int) -> DaskCluster:
    """Processes of this machine, a thread each, heard on the loopback interface only."""
    import distributed

    # Memory is held by trapsort's own budgets, which a limit on the process knows nothing of.
    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        memory_limit=0,
        preload=["trapsort.cluster.uninterrupted"],
        silence_logs=logging.CRITICAL,
    )


def _slurm(jobs: SlurmJobs) -> DaskCluster:
    """Jobs of SLURM, submitted from here and cancelled at the end."""
    if not any((Path(folder) / "sbatch").exists() for folder in os.get_exec_path()):
        raise InputError(
            "There is no sbatch on this machine.", "Run this on a login node of the cluster."
        )
    cluster = slurm_cluster(jobs)
    # Jobs that reach their time limit are followed by others, for as long as there is work.
    cluster.adapt(minimum_jobs=jobs.jobs, maximum_jobs=jobs.jobs)
    return cluster


def slurm_cluster(jobs: SlurmJobs) -> DaskCluster:
    """A cluster of SLURM jobs, none of them submitted yet; its `job_script()` is what would be.

    Each job is one worker process, with a thread for each core.
    """
    from dask_jobqueue.slurm import SLURMCluster

    def unless_empty(text: str) -> str | None:
        return text or None

    cluster: DaskCluster = SLURMCluster(
        cores=jobs.cores,
        processes=1,
        memory=jobs.memory,
        walltime=jobs.walltime,
        queue=unless_empty(jobs.queue),
        account=unless_empty(jobs.account),
        interface=unless_empty(jobs.interface),
        job_extra_directives=list(jobs.directives),
        job_script_prologue=list(jobs.prologue),
        python=jobs.python or sys.executable,
        log_directory=unless_empty(jobs.folder),
        job_name="trapsort",
        scheduler_options={"dashboard_address": ":0", "dashboard": False},
    )
    return cluster


def _wait(client: Client, stop: Event, *, patient: bool) -> None:
    """Wait for the first worker; raises `InputError` where none comes."""
    waited = 0
    while not stop.is_set():
        try:
            client.wait_for_workers(1, timeout=1)
        except TimeoutError:
            waited += 1
        else:
            return
        if waited == 2:
            _log.warning("the cluster has no workers yet; waiting for the first")
        if waited >= WAIT_SECONDS and not patient:
            raise InputError(
                "The cluster has no workers.", "Start some: dask worker tcp://SCHEDULER:PORT"
            )
