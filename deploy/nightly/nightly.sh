#!/bin/bash
# One night: data, model, bundle, table. The same date again makes nothing twice.
#   RATINGS=/var/lib/ncf/ratings.csv deploy/nightly/nightly.sh [DATE]
# It works in the present folder: nights/DATE, gates.toml, topk, model_store. It ends with the exit
# code of the command that failed; docs/nightly.md says which of them to try again.
set -euo pipefail
: "${RATINGS:?is the ratings file of the night}" "${MODEL:=gmf}" "${KEEP:=7}" "${PAUSES:=60 300 900}"
date=${1:-$(date -u +%F)}
night=nights/$date

again() {  # run a command, and run it again after a pause while its failure is temporary
  local code pause
  for pause in $PAUSES end; do
    code=0
    "$@" || code=$?
    if [ "$code" -ne 75 ] || [ "$pause" = end ]; then return "$code"; fi
    sleep "$pause"
  done
}

mkdir -p "$night"
[ -e gates.toml ] || ncf init gates > gates.toml

if [ ! -e "$night/store/ncf/bundle.json" ]; then
  again ncf data prepare --ratings "$RATINGS" --split leave-one-out --out "$night/data"
  start=(--model "$MODEL")
  if [ -e nights/last/checkpoint ]; then start=(--warm-start nights/last/checkpoint); fi
  again ncf train --data "$night/data" "${start[@]}" --out "$night/checkpoint" --resume
  again ncf export --checkpoint "$night/checkpoint" --data "$night/data" --out "$night/store"
fi

again ncf batch --bundle "$night/store/ncf" --out topk --date "$date" --gate gates.toml --keep "$KEEP"

# What is served changes only with the table, so never to the model of a table that was set aside,
# and not in a backfill.
if [[ $(cat topk/LATEST) == "${date//-/}"T* ]]; then
  again ncf export --checkpoint "$night/checkpoint" --data "$night/data" --out model_store
  ln -sfn "$date" nights/last
fi
find nights -mindepth 1 -maxdepth 1 -type d -name '20??-??-??' | sort | head -n "-$KEEP" |
  while read -r old; do rm -rf "$old"; done
