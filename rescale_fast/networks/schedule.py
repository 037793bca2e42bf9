"""The learning-rate schedule that both of our training loops use."""

import math


def one_cycle(step: int, total_steps: int, *, warm_up: float = 0.25) -> float:
    """Share of the highest learning rate at a step: a linear rise, then half a cosine down to nothing.

    Defined for any number of steps from 1 on. Source: Smith and Topin, "Super-convergence: very fast training of
    neural networks using large learning rates" (2018), in its usual form with a cosine.
    """
    position = (step + 0.5) / total_steps
    if position < warm_up:
        return position / warm_up
    return 0.5 * (1 + math.cos(math.pi * (position - warm_up) / (1 - warm_up)))
