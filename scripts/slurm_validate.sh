#!/usr/bin/env bash
# Validates a data set on several machines with SLURM: one torchrun a machine, one rank a GPU. Change what follows
# "#SBATCH" to your cluster's, then:
#
#     sbatch scripts/slurm_validate.sh --dataset imagenet --root /data/imagenet --out /shared/rescaled/imagenet
#
# Arguments go to `rescale-fast validate`. --out must be on a file system that all machines see. Work that is finished
# is kept: a job that was cut off, or requeued, goes on where it stopped. Without SLURM, the same on one machine:
#
#     torchrun --nproc-per-node gpu -m rescale_fast validate ...
#
#SBATCH --job-name=rescale-validate
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -euo pipefail

RANKS=${RANKS:-gpu} # a machine; a number when there are no GPUs
RESTARTS=${RESTARTS:-3}
PYTHON=${PYTHON:-python}
HOSTS=$(scontrol show hostnames "$SLURM_JOB_NODELIST") # all: what a pipe to head would end early ends this script
HEAD=${HOSTS%%$'\n'*}

exec srun --kill-on-bad-exit=1 "$PYTHON" -m torch.distributed.run \
  --nnodes="$SLURM_JOB_NUM_NODES" \
  --nproc-per-node="$RANKS" \
  --max-restarts="$RESTARTS" \
  --rdzv-backend=c10d \
  --rdzv-id="$SLURM_JOB_ID" \
  --rdzv-endpoint="$HEAD:${PORT:-29500}" \
  -m rescale_fast validate "$@"
