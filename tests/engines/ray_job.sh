#!/bin/bash
# In a network namespace with 'lo' alone: start a head with its dashboard, and run the line that is
# given. What was started ends with the namespace of processes.
set -euo pipefail
ip link set lo up
"$RAY" start --head --node-ip-address 127.0.0.1 --port 6379 --num-cpus 1 --include-dashboard true \
  --dashboard-host 127.0.0.1 --dashboard-port 8265 --disable-usage-stats --temp-dir "$FOLDER" \
  > "$FOLDER/start.log" 2>&1
for _ in $(seq 600); do
  if "$(dirname "$RAY")/python" -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:8265/api/version")' 2> /dev/null; then
    break
  fi
  sleep 0.2
done
exec bash -c "$1"
