r"""A dask cluster on SLURM for `napari-safire predict --scheduler-file`.

    pip install "napari-safire[distributed]" dask-jobqueue
    python slurm_cluster.py --jobs 40 --file /shared/scheduler.json &
    napari-safire predict --recursive /shared/photos -o /shared/results \
        --scheduler-file /shared/scheduler.json

Pictures, results, model and environment lie on a drive that all nodes see. A job is one process
with one thread (one GPU with --gpu); jobs that SLURM ends are asked for again, their tasks done
again, and nothing stands in the manifest twice. `--script` prints what is submitted.
"""

from __future__ import annotations

import argparse
import json
import signal

from dask_jobqueue import SLURMCluster


def main() -> None:
    """Hold the cluster until Ctrl-C."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=10, help="workers that are held")
    options.add_argument("--file", default="scheduler.json", help="tells the scheduler's address")
    options.add_argument("--queue", default=None)
    options.add_argument("--walltime", default="08:00:00")
    options.add_argument("--memory", default="8GB", help="12-megapixel pictures need 3 GB")
    options.add_argument("--gpu", action="store_true")
    options.add_argument("--script", action="store_true", help="print the job's script alone")
    given = options.parse_args()
    cluster = SLURMCluster(
        queue=given.queue,
        cores=1,
        processes=1,
        memory=given.memory,
        walltime=given.walltime,
        # A worker that SLURM is about to end leaves in time, between two tasks.
        worker_extra_args=["--lifetime", "7h", "--lifetime-stagger", "10m"],
        job_extra_directives=["--gres=gpu:1"] if given.gpu else [],
        job_script_prologue=["export OMP_NUM_THREADS=1"],
    )
    if given.script:
        print(cluster.job_script())
        return
    cluster.adapt(minimum=given.jobs, maximum=given.jobs)
    _write_address(cluster, given.file)
    signal.pause()


def _write_address(cluster: SLURMCluster, file: str) -> None:
    with open(file, "w", encoding="utf-8") as told:
        json.dump({"address": cluster.scheduler_address}, told)


if __name__ == "__main__":
    main()
