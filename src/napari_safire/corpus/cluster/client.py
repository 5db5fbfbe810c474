"""A dask cluster reached, or begun on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from napari_safire.errors import SafireError
from napari_safire.text import printable

if TYPE_CHECKING:
    from distributed import Client

_LOST_WORKERS = 3  # by a task, until it is divided to find the picture that costs them
_WORKERS_WITHIN = 60.0  # seconds until there must be one
_LIFETIME = "2 hours"  # of a worker of a local cluster, then it is replaced: memory creeps


@contextmanager
def cluster_client(
    *, workers: int = 0, scheduler: str = "", scheduler_file: str = ""
) -> Iterator[Client]:
    """Reach a cluster, or begin one on this machine.

    Parameters
    ----------
    workers : int
        Of a cluster on this machine, one thread each; 0: another one is reached.
    scheduler, scheduler_file : str
        Address of a running scheduler, or the file that tells it.

    Yields
    ------
    Client

    Raises
    ------
    SafireError
        distributed is not installed, or nobody answers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise SafireError(
            "Several workers need dask.distributed: install napari-safire[distributed]."
        ) from error
    cluster = None
    dask.config.set({"distributed.scheduler.allowed-failures": _LOST_WORKERS})
    try:
        if workers:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=":0",
                lifetime=_LIFETIME,
                lifetime_stagger="10 minutes",
                lifetime_restart=True,
            )
            client = Client(cluster)
        elif scheduler_file:
            if not os.path.isfile(scheduler_file):  # dask would wait for it for ever
                raise FileNotFoundError("there is no such file")
            client = Client(scheduler_file=scheduler_file, timeout=_WORKERS_WITHIN)
        else:
            client = Client(scheduler, timeout=_WORKERS_WITHIN)
    except (OSError, TimeoutError, ValueError) as error:
        raise SafireError(
            f"No scheduler answers at {printable(scheduler or scheduler_file or 'this machine')} "
            f"({printable(error)[:120]}): start one, or check the address."
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):  # a scheduler that is gone cannot be told good-bye
            client.close(timeout=2)
        if cluster is not None:
            with suppress(Exception):
                cluster.close(timeout=5)
