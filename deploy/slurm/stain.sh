#!/usr/bin/env bash
# Stain a folder of stacks by an array of tasks, each its own part:
#   sbatch --array=0-7 deploy/slurm/stain.sh positions stained --model my-run
# What is stained stays: the same array, submitted again, does what is left. Count from 0.
#SBATCH --job-name=llcm-stain
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log
#SBATCH --signal=TERM@60
set -uo pipefail
stacks=${1:?the folder of stacks} out=${2:?the folder for the results}
shift 2
part=$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT

srun napari-llcm stain "$stacks" "$out" --device cuda --part "$part" "$@"
code=$?
# 143: told to stop (SIGTERM); what is done is kept, and the same command does what is left
if [ "$code" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
