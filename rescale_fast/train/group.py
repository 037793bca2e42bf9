"""The processes that train one network together. Alone, every operation here is nothing."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rescale_fast.errors import TrainingError
from rescale_fast.ranks import Ranks

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Group:
    """Ranks joined in torch's default process group, if there are several."""

    ranks: Ranks = Ranks()  # noqa: RUF009 (it is frozen)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.ranks.is_first

    @property
    def count(self) -> int:
        return self.ranks.count

    def sum(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """The sum over all processes, in place."""
        if self.count > 1:
            import torch.distributed as dist

            dist.all_reduce(tensor)
        return tensor

    def gather(self, value: "torch.Tensor") -> "torch.Tensor":
        """(count,) the value () of each process, in order."""
        values = value.new_zeros(self.count)
        values[self.ranks.rank] = value
        return self.sum(values)

    def largest(self, numbers: Sequence[int], device: "torch.device") -> list[int]:
        """Of each number the largest that a process has. It makes a GPU wait."""
        if self.count == 1:
            return list(numbers)
        import torch
        import torch.distributed as dist

        tensor = torch.tensor(numbers, device=device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        found: list[int] = tensor.tolist()
        return found

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
def joined(ranks: Ranks, device: "torch.device") -> Iterator[Group]:
    """The ranks as a process group, until the block ends: NCCL on GPUs, Gloo on the CPU."""
    if ranks.count == 1:
        yield Group()
        return
    import torch
    import torch.distributed as dist

    if device.type == "cuda":
        torch.cuda.set_device(device)
    group = Group(ranks)
    try:
        with _others_there():
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=dist.PrefixStore("rescale_fast/train", ranks.store),  # type: ignore[attr-defined]
                rank=ranks.rank,
                world_size=ranks.count,
            )
            group.wait()  # one with nothing to do would else be gone while another still connects to it
            yield group
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def _others_there() -> Iterator[None]:
    """Raises: TrainingError where another process or the way to it has gone, of which torch tells with stack dumps."""
    try:
        yield
    except RuntimeError as error:
        from torch.distributed import DistError

        text = str(error)
        if not isinstance(error, DistError) and not re.search(r"\bgloo\b|\bNCCL\b", text, re.IGNORECASE):
            raise
        reason = re.sub(r"^\[[^]]*\] *", "", text.partition("\n")[0]).strip() or type(error).__name__
        raise TrainingError(
            f"the processes that train together have lost one another ({reason[:200]}). If one of them said why it "
            "ended, mend that; what is finished is kept, and the same command goes on from there."
        ) from error
