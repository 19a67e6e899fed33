#!/bin/bash
# In a network namespace with 'lo' alone: start a head with its dashboard, and run the line that is
# given. What was started ends with the namespace of processes.
set -euo pipefail
ip link set lo up
export RAY_AUTH_MODE=disabled # a token of this machine is none of the test's
"$RAY" start --head --node-ip-address 127.0.0.1 --port 6379 --num-cpus 1 --include-dashboard true \
  --dashboard-host 127.0.0.1 --dashboard-port 8265 --disable-usage-stats --temp-dir "$FOLDER" \
  > "$FOLDER/start.log" 2>&1
"$(dirname "$RAY")/python" - << 'END'
import time
from urllib import request

for _ in range(300):
    try:
        request.urlopen("http://127.0.0.1:8265/api/version")
        break
    except OSError:
        time.sleep(0.2)
END
exec bash -c "$1"
