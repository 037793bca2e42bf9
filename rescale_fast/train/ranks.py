"""The processes that train one network together, as torchrun starts them. Alone, every operation here is nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rescale_fast.machine import MachineSettings

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Ranks:
    """This process among `count`."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0  # on this machine
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def device(self, machine: MachineSettings) -> "torch.device":
        """This process's own GPU, or the CPU."""
        import torch

        device = machine.torch_device()
        return torch.device("cuda", self.local_rank) if device.type == "cuda" else device

    def num_threads(self, machine: MachineSettings) -> int:
        """Loading threads of this process: those asked for, or its part of the machine's cores."""
        return machine.num_threads or max(1, machine.threads // self.local_count)

    def sum(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """The sum over all processes, in place."""
        if self.count > 1:
            import torch.distributed as dist

            dist.all_reduce(tensor)
        return tensor

    def share_buffers(self, network: "nn.Module") -> None:
        """Give all processes the first one's running statistics."""
        if self.count > 1:
            import torch.distributed as dist

            for buffer in network.buffers():
                dist.broadcast(buffer, 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            import torch.distributed as dist

            dist.barrier()

    def parallel(self, network: "nn.Module", device: "torch.device") -> "nn.Module":
        """The network, averaging its gradients over all processes."""
        if self.count == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)


@contextmanager
def join_ranks(environment: Mapping[str, str], machine: MachineSettings) -> Iterator[Ranks]:
    """Meet the other processes that torchrun has started; without torchrun there is one."""
    count = int(environment.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    import torch
    import torch.distributed as dist

    local_count = int(environment["LOCAL_WORLD_SIZE"])
    ranks = Ranks(int(environment["RANK"]), count, int(environment["LOCAL_RANK"]), local_count)
    device = ranks.device(machine)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()
