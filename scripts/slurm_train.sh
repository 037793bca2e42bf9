#!/usr/bin/env bash
# Trains on several GPUs or machines with SLURM: one rank a GPU. Change what follows "#SBATCH" to your cluster's, then:
#
#     sbatch scripts/slurm_train.sh --out /shared/rescaled/imagenet --train-network ResNet18
#
# Arguments go to `rescale-fast train`. --out must be on a file system that all machines see. Two minutes before its time
# is over, or when it is preempted, the training saves and ends; the job is queued again, and goes on with the next step.
# srun starts the ranks itself: torchrun would hide with which exit code they end.
#
#SBATCH --job-name=rescale-train
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST") # all: what a pipe to head would end early ends this script
export MASTER_ADDR="${hosts%%$'\n'*}" MASTER_PORT="${PORT:-29500}" PYTHON="${PYTHON:-python}"
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
# What each task makes of itself. Threads are shared out among the ranks of a machine, which all see its cores.
rank='export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS
  export LOCAL_RANK=$SLURM_LOCALID LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE
  exec "$PYTHON" -m rescale_fast train "$@"'

code=0
srun --kill-on-bad-exit=1 --cpu-bind=none bash -c "$rank" rank "$@" || code=$?
case $code in
  75 | 138 | 143) scontrol requeue "$SLURM_JOB_ID" ;; # saved; or ended by SIGUSR1 or SIGTERM before there was a step
  *) exit "$code" ;;
esac
