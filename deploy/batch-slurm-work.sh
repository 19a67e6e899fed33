#!/bin/bash
#SBATCH --job-name=ncf-batch
#SBATCH --array=0-15
#SBATCH --cpus-per-task=4
#SBATCH --mem=2G
#SBATCH --time=02:00:00
#SBATCH --requeue
# One share of the shards of the plan in OUT; a share that is requeued takes up what is done.
set -euo pipefail
exec ncf batch work --out "$OUT" --shard "$SLURM_ARRAY_TASK_ID/${SHARES:-16}" --workers "${SLURM_CPUS_PER_TASK:-0}"
