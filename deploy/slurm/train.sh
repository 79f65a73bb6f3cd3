#!/usr/bin/env bash
# Train, and go on by itself when the time is up or the node was wanted for another job:
#   sbatch deploy/slurm/train.sh my-pairs my-run --preset full
#SBATCH --job-name=llcm-train
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --signal=TERM@120
set -uo pipefail
pairs=${1:?the folder of pairs} run=${2:?the run folder}
shift 2

srun napari-llcm train --pairs "$pairs" --out "$run" --device cuda --resume "$@"
code=$?
# 143: told to stop (SIGTERM); the run is saved, and the same command goes on with it
if [ "$code" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
