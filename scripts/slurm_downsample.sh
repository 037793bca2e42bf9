#!/usr/bin/env bash
# Down-samples a data set on a SLURM cluster: an array job makes the parts, a second job puts them together.
#   bash scripts/slurm_downsample.sh SHARES --dataset imagenet --root /data/imagenet --side 32 --out /scratch/small
# What goes behind SHARES goes to `rescale-fast downsample`. SBATCH_OPTIONS goes to both jobs, for instance
# SBATCH_OPTIONS="--cpus-per-task=16 --time=2:00:00 --partition=cpu". Run it again after a failure: finished parts stay.
set -euo pipefail
[ "$#" -ge 1 ] && [[ "$1" =~ ^[1-9][0-9]*$ ]] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
shares=$1
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(printf '%q ' "$root/.venv/bin/python" -m rescale_fast downsample "$@")
read -ra options <<<"${SBATCH_OPTIONS:-}"

parts=$(sbatch --parsable "${options[@]}" --job-name=downsample --array="0-$((shares - 1))" \
  --wrap="$work --share \$SLURM_ARRAY_TASK_ID/$shares")
whole=$(sbatch --parsable "${options[@]}" --job-name=downsample-join --dependency="afterok:${parts%%;*}" \
  --kill-on-invalid-dep=yes --wrap="$work")
echo "parts: job $parts; the set: job $whole, which starts when all parts are there"
