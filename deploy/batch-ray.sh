#!/bin/bash
# A nightly table on a Ray cluster, from any machine that reaches the dashboard of its head:
#   HEAD=ray-head deploy/batch-ray.sh --bundle /shared/model_store/ncf --out /shared/topk --keep 7
# The head's dashboard, and this command, need 'ray[default]' beside ncf (the same version of Ray).
# Options are those of 'ncf batch'. The job runs on the head, where NCF is as on all nodes, and its log
# is shown; after any failure the script ends with 1, and the log's last lines say why.
set -euo pipefail
: "${HEAD:?}" "${PORT:=6379}" "${DASHBOARD:=8265}" "${NCF:=/opt/ncf/bin/ncf}"

exec "$(dirname "$NCF")/ray" job submit --address "http://$HEAD:$DASHBOARD" -- \
  "$NCF" batch --engine ray --address "$HEAD:$PORT" "$@"
