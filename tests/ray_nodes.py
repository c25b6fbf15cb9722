"""A cluster of Ray on this machine: two nodes, each with a raylet of its own."""

import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

STORE_BYTES = 10**8


@attrs.define
class Nodes:
    """Two nodes of one CPU each; drivers connect to the first one."""

    cluster: Any
    second: Any

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill_raylet(self, *, replace: bool = True) -> None:
        """Kill -9 the raylet of the second node, and put another node in its place, or none."""
        os.kill(self.second.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = add_node(self.cluster) if replace else None


def add_node(cluster: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)


@contextmanager
def two_nodes(env: dict[str, str]) -> Iterator[Nodes]:
    """A cluster whose processes have an environment."""
    os.environ.update({name: env[name] for name in ("PYTHONPATH", "OMP_NUM_THREADS")})
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        nodes = Nodes(cluster, add_node(cluster))
    try:
        yield nodes
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cluster.shutdown()
