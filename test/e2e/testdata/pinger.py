"""Connects to the API server from inside a pod, again and again, and says on the machine's monotonic clock when it tried
and what came of it. A line is: before, after, outcome. It ends by itself."""
import os
import socket
import time

api = (os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"]))
begun = time.monotonic()
while time.monotonic() - begun < 180:
    before = time.monotonic()
    try:
        socket.create_connection(api, 0.1).close()
        outcome = "ok"
    except OSError:
        outcome = "failed"
    print(f"{before:.6f} {time.monotonic():.6f} {outcome}", flush=True)
    time.sleep(max(0, before + 0.02 - time.monotonic()))
