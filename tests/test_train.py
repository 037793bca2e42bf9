"""The parts of training that need no loader."""

import pytest

from rescale_fast.artifact import Origin
from rescale_fast.errors import ArtifactError
from rescale_fast.networks.schedule import one_cycle
from rescale_fast.train.types import TrainRun


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 100])
def test_the_schedule_rises_then_falls_for_any_number_of_steps(total):
    rates = [one_cycle(step, total) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def run():
    epochs = ({"epoch": 1, "val_top1": 0.6}, {"epoch": 2, "val_top1": 0.5})
    return TrainRun(Origin({"train": "x"}, {}), "small", 10, 4, 24, epochs)


def test_last_and_best_epoch_are_kept_apart_and_read_back(tmp_path):
    run().save(tmp_path)
    got = TrainRun.load(tmp_path)
    assert (got.last_top1, got.best_top1) == (0.5, 0.6)
    assert got == run()


def test_an_unfinished_run_is_none(tmp_path):
    (tmp_path / "log.jsonl").write_text("{}\n")
    with pytest.raises(ArtifactError, match="no such file"):
        TrainRun.load(tmp_path)
