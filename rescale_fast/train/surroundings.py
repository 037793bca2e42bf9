"""What torch is set to while a network is trained, put back afterwards; and its lack of memory, explained."""

from collections.abc import Iterator
from contextlib import contextmanager

from rescale_fast.errors import TrainingError


@contextmanager
def repeatable(deterministic: bool) -> Iterator[None]:
    """Repeatable algorithms, or the fastest."""
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


@contextmanager
def torch_threads(num_threads: int) -> Iterator[None]:
    """So many threads on the CPU; 0 = as many as there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(num_threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def memory_explained(network: str, step: str, advice: str) -> Iterator[None]:
    """Raises: TrainingError where memory does not hold a step of this network, with what to do about it."""
    import torch

    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            whose = "the GPU's"
        elif "can't allocate memory" in str(error):  # torch has no class of its own for the CPU's
            whose = "this machine's"
        else:
            raise
        raise TrainingError(f"{network}: {whose} memory does not hold {step}. {advice}") from error
