"""A dask cluster reached, or begun on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from napari_safire.errors import SafireError
from napari_safire.text import printable

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

_LOST_WORKERS = 3  # by a task, until it is divided to find the picture that costs them
_WORKERS_WITHIN = 60.0  # seconds until there must be one
_LIFETIME = "2 hours"  # of a worker of a local cluster, then it is replaced: memory creeps


@contextmanager
def cluster_client(
    *,
    workers: int = 0,
    cards: Sequence[str] = (),
    scheduler: str = "",
    scheduler_file: str = "",
) -> Iterator[Client]:
    """Reach a cluster, or begin one on this machine.

    Parameters
    ----------
    workers : int
        Of a cluster on this machine, one thread each; 0: another one is reached.
    cards : sequence of str
        GPUs of this machine (`napari_safire.engine.machine.visible_cards`): each worker that is
        begun sees one of them, in turn. Empty: each sees what this process does.
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
        from distributed import Client
    except ImportError as error:
        raise SafireError(
            "Several workers need dask.distributed: install napari-safire[distributed]."
        ) from error
    cluster = None
    dask.config.set({"distributed.scheduler.allowed-failures": _LOST_WORKERS})
    try:
        if workers:
            cluster = _local_cluster(workers, cards)
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


def _local_cluster(workers: int, cards: Sequence[str]) -> LocalCluster:
    """Begin a cluster that only this user's processes can reach.

    Whoever can talk to a worker can have it run anything, and other users of the machine can reach
    its ports too: so they talk by TLS, with a key that only these processes have.
    """
    from distributed import LocalCluster

    from napari_safire.engine.machine import CARDS

    cluster = LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        security=True,
        silence_logs=logging.ERROR,  # that a worker was lost or replaced is the business of `flow`
        lifetime=_LIFETIME,
        lifetime_stagger="10 minutes",
        lifetime_restart=True,
    )
    plain = cluster.new_spec
    for number in range(workers):
        if cards:
            seen = {**plain["options"].get("env", {}), CARDS: cards[number % len(cards)]}
            cluster.new_spec = {**plain, "options": {**plain["options"], "env": seen}}
        cluster.scale(number + 1)
    return cluster
