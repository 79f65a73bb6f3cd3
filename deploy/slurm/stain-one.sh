#!/usr/bin/env bash
# Stain one large volume by many nodes: this job gives out the work, and asks SLURM for workers.
#   sbatch deploy/slurm/stain-one.sh huge.ome.zarr virtual.ome.zarr --cluster-workers 8
# What a worker is given (partition, memory, GPU) stands in dask's configuration, jobqueue.slurm.
#SBATCH --job-name=llcm-stain-one
#SBATCH --cpus-per-task=2
#SBATCH --mem=16G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --signal=TERM@60
set -uo pipefail
stack=${1:?the volume} out=${2:?the result}
shift 2

srun napari-llcm stain "$stack" "$out" --cluster slurm --device cuda "$@"
code=$?
# 143: told to stop (SIGTERM); what is done is kept, and the same command does what is left
if [ "$code" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
