#!/bin/bash
# A nightly table on many machines of a Slurm cluster, from cron on a login node:
#   OUT=/shared/topk BUNDLE=/shared/models/ncf SEEN=/shared/tonight.parquet deploy/batch-slurm.sh
# It plans, runs an array of workers, and commits; a commit that ends with 4 has planned a next try.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
: "${BUNDLE:?}" "${OUT:?}" "${SHARES:=16}" "${KEEP:=7}"

ncf batch plan --bundle "$BUNDLE" --out "$OUT" ${SEEN:+--seen "$SEEN"}
while true; do
  sbatch --wait --array="0-$((SHARES - 1))" --export="ALL,OUT=$OUT,SHARES=$SHARES" "$here/batch-slurm-work.sh"
  code=0
  ncf batch commit --out "$OUT" --keep "$KEEP" || code=$?
  [ "$code" -eq 4 ] || exit "$code"
done
