"""Transformers of diffusers under context parallelism: two processes of this machine, on the CPU, over gloo."""

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

SIZE = 2


def parallel(transformer: Any, **options: Any) -> Any:
    """A transformer under context parallelism, as `enable_parallelism` makes it of one on a GPU."""
    from diffusers import ContextParallelConfig

    degrees = (options.get("ring_degree", 1), options.get("ulysses_degree", 1))
    mesh = dist.device_mesh.init_device_mesh("cpu", degrees, mesh_dim_names=("ring", "ulysses"))
    count, torch.accelerator.device_count = torch.accelerator.device_count, lambda: SIZE
    accelerator, torch._C._get_accelerator = torch._C._get_accelerator, lambda: torch.device("cpu")
    try:
        transformer.enable_parallelism(config=ContextParallelConfig(mesh=mesh, **options))
    finally:
        torch.accelerator.device_count, torch._C._get_accelerator = count, accelerator
    return transformer


def in_two_processes(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function gives in each of two processes that are connected; it must be importable.

    An exception counts as what it gives, as its text.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=_run, args=(rank, folder, function, arguments)) for rank in range(SIZE)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(300)
            assert process.exitcode == 0, f"a process ended with {process.exitcode}, or not at all"
        found = [Path(folder) / f"{rank}.pt" for rank in range(SIZE)]
        return [torch.load(path, weights_only=False) for path in found]


def _gather_uneven(found: list[torch.Tensor], own: torch.Tensor, group: Any = None) -> None:
    """`all_gather` of parts of different sizes, which NCCL has and gloo has not."""
    for rank, part in enumerate(found):
        if rank == dist.get_rank(group):
            part.copy_(own)
        dist.broadcast(part, src=rank, group=group)


def _run(rank: int, folder: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=SIZE)
    dist.all_gather = _gather_uneven
    try:
        with torch.no_grad():
            given = function(*arguments)
    except Exception as error:
        given = f"{type(error).__name__}: {error}"
    torch.save(given, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
