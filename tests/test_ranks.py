"""What ranks agree on, over a real store between threads, and the script that starts them on a cluster."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.distributed import HashStore, TCPStore

from rescale_fast.errors import RescaleError, SettingError, TrainingError
from rescale_fast.machine import MachineSettings
from rescale_fast.ranks import Meeting, Ranks, join, this_rank
from rescale_fast.train.group import _others_there
from tests.conftest import ROOT


def together(count, work):
    """Run work(meeting) as `count` ranks, each in a thread; their results by rank."""
    store = HashStore()
    meetings = []
    for rank in range(count):
        meeting = Meeting("test", Ranks(rank, count, rank, count, store))
        meeting._prefix = "test"  # of one process each, in truth
        meetings.append(meeting)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, meetings))


def test_all_ranks_get_what_the_first_decides():
    got = together(3, lambda meeting: meeting.agree("x", lambda: [meeting.ranks.rank, None, "a"]))
    assert got == [[0, None, "a"]] * 3


def test_the_first_rank_is_through_before_the_others_begin():
    order, lock = [], threading.Lock()

    def work(meeting):
        with meeting.first_before_others("x"), lock:
            order.append(meeting.ranks.rank)

    together(4, work)
    assert order[0] == 0
    assert sorted(order) == [0, 1, 2, 3]


def test_sums_are_shared_and_all_wait_for_all():
    def work(meeting):
        meeting.add("images", 10 * meeting.ranks.rank)
        meeting.wait_for_all("done")
        return meeting.add("images", 0)

    assert together(3, work) == [30, 30, 30]


def test_ranks_that_are_started_again_do_not_take_what_others_left_for_theirs():
    """Rank 1 was killed before it was done, rank 0 after: their successors in the same store begin at nothing."""
    store = HashStore()
    for attempt in range(3):
        with ThreadPoolExecutor(3) as pool:
            parts = list(pool.map(lambda rank: join(store, rank, 3), range(3)))
        for rank in (2, 0, 1)[: attempt + 1]:
            assert parts[rank].add("done", 1) == (2, 0, 1).index(rank) + 1


SERVES = """
from torch.distributed import TCPStore
store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
print(store.port, flush=True)
input()
"""


@pytest.mark.parametrize("ask", ["agree", "add", "wait_for_all", "join"])
def test_a_store_that_has_gone_is_one_message(ask):
    with subprocess.Popen([sys.executable, "-c", SERVES], stdin=-1, stdout=-1, text=True) as server:
        store = TCPStore("127.0.0.1", int(server.stdout.readline()), is_master=False)
        server.kill()
        server.wait()
    meeting = Meeting("gone", Ranks(1, 2, 1, 2, store))
    asks = {
        "agree": lambda: meeting.agree("x", lambda: None),
        "add": lambda: meeting.add("x", 1),
        "wait_for_all": lambda: meeting.wait_for_all("x"),
        "join": lambda: join(store, 1, 2),
    }
    with pytest.raises(RescaleError, match="torchrun has gone, .* the same command goes on"):
        asks[ask]()


def test_alone_nothing_waits():
    meeting = Meeting("alone", Ranks())
    assert meeting.agree("x", lambda: 5) == 5
    with meeting.first_before_others("x"):
        meeting.add("n", 2)
    meeting.wait_for_all("done")
    assert meeting.add("n", 3) == 5
    assert Meeting("alone", Ranks()).add("n", 0) == 0, "each meeting counts for itself"


def test_ranks_share_the_cores_and_need_a_gpu_each(monkeypatch):
    this_rank.cache_clear()
    monkeypatch.setattr("rescale_fast.machine.this_rank", lambda: Ranks(5, 8, 1, 4))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(10)))
    assert MachineSettings("cpu").threads == 2
    assert MachineSettings("cpu", 7).threads == 7
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert MachineSettings().torch_device() == torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SettingError, match="4 ranks on this machine, but 2 GPUs: .*--nproc-per-node 2"):
        MachineSettings().torch_device()
    assert MachineSettings("cpu").torch_device() == torch.device("cpu")


def on_a_cluster(script, arguments, folder, programs, **variables):
    """Run one of scripts/ as SLURM would, with these shell scripts in place of the programs that it calls."""
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "4711"}
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", **job, **variables}
    return subprocess.run(
        ["bash", ROOT / "scripts" / script, *arguments], env=environment, capture_output=True, text=True
    )


def test_the_cluster_script_starts_torchrun_on_each_machine(tmp_path):
    """srun and scontrol stand in; torchrun's own parser reads what they would be given."""
    from torch.distributed.run import get_args_parser

    programs = {
        "scontrol": "seq -f node%g 7 99999",
        "srun": 'shift; exec "$@"',
        "python": 'printf "%s\\n" "$@"',
    }
    arguments = ["--dataset", "imagenet", "--root", "/a b", "--out", "/o"]
    done = on_a_cluster("slurm_validate.sh", arguments, tmp_path, programs, SLURM_JOB_NUM_NODES="2")
    assert done.returncode == 0, done.stderr
    module, *arguments = done.stdout.splitlines()[1:]
    assert module == "torch.distributed.run"
    got = get_args_parser().parse_args(arguments)
    assert (got.nnodes, got.nproc_per_node, got.max_restarts) == ("2", "gpu", 3)
    assert (got.rdzv_backend, got.rdzv_endpoint, got.rdzv_id) == ("c10d", "node7:29500", "4711")
    assert got.module
    assert got.training_script == "rescale_fast"
    assert got.training_script_args == ["validate", "--dataset", "imagenet", "--root", "/a b", "--out", "/o"]


@pytest.mark.parametrize(("ends_with", "requeues"), [(75, True), (143, True), (138, True), (1, False), (0, False)])
def test_the_cluster_script_for_training_queues_what_was_saved_again(tmp_path, ends_with, requeues):
    """srun and scontrol stand in; srun ends with the highest exit code of its tasks."""
    programs = {
        "scontrol": f'echo "$@" >> {tmp_path}/asked; seq -f node%g 7 99999',
        "srun": 'shift 2; SLURM_PROCID=5 SLURM_LOCALID=1 exec "$@"',
        "python": 'printf "%s\\n" "$@" "$RANK/$WORLD_SIZE" "$LOCAL_RANK/$LOCAL_WORLD_SIZE" '
        f'"$MASTER_ADDR:$MASTER_PORT"\nexit {ends_with}',
    }
    tasks = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}
    done = on_a_cluster("slurm_train.sh", ["--out", "/a b"], tmp_path, programs, **tasks)
    assert done.returncode == (0 if requeues else ends_with), done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["show hostnames node[7-8]"] + ["requeue 4711"] * requeues
    words = done.stdout.splitlines()[:8]
    assert words == ["-m", "rescale_fast", "train", "--out", "/a b", "5/8", "1/4", "node7:29500"]


TRAINING_TOGETHER = """
import os, sys, torch
from torch.distributed import FileStore
from rescale_fast.errors import TrainingError
from rescale_fast.ranks import Ranks
from rescale_fast.train.group import joined
rank = int(sys.argv[1])
try:
    with joined(Ranks(rank, 2, store=FileStore(sys.argv[2], 2)), torch.device("cpu")) as group:
        assert group.sum(torch.ones(1)).item() == 2
        if rank == 1:
            os._exit(0)
        group.sum(torch.ones(1))
except TrainingError as error:
    print(error)
"""


def test_a_process_whose_companion_is_gone_says_so_in_a_line(tmp_path):
    command = [sys.executable, "-c", TRAINING_TOGETHER]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, str(rank), tmp_path / "store"], **options) for rank in (0, 1)]
    told, errors = both[0].communicate(timeout=120)
    both[1].communicate(timeout=120)
    assert told.startswith("the processes that train together have lost one another ("), errors
    assert told.count("\n") == 1
    assert "frame #" not in told + errors
    assert "Traceback" not in errors


def test_an_error_of_the_training_itself_is_not_taken_for_a_lost_companion():
    for text in ("size mismatch", "expected glooming skies"):
        with pytest.raises(RuntimeError, match=text) as caught, _others_there():
            raise RuntimeError(text)
        assert not isinstance(caught.value, TrainingError)
