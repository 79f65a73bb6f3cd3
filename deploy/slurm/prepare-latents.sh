#!/usr/bin/env bash
# Encode all pairs once, for trainings on top of one autoencoder:
#   sbatch deploy/slurm/prepare-latents.sh my-pairs my-latents --autoencoder maisi
# Pairs that are finished stay: submitted again, it does what is left.
#SBATCH --job-name=llcm-latents
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --signal=TERM@120
set -uo pipefail
pairs=${1:?the folder of pairs} out=${2:?the folder for the latents}
shift 2

srun napari-llcm prepare-latents --pairs "$pairs" --out "$out" --device cuda "$@"
code=$?
# 143: told to stop (SIGTERM); finished pairs are kept, and the same command does what is left
if [ "$code" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
