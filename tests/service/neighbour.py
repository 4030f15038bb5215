"""Another client, in a process of its own: for each line that it reads, it asks for a service's health.

It prints the seconds until the reply, over a connection of its own. Its arguments are port and key.
"""

from __future__ import annotations

import http.client
import sys
import time

port, key = int(sys.argv[1]), sys.argv[2]
for _ in sys.stdin:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/v1/caches/local/health", headers={"Authorization": f"Bearer {key}"})
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    if (reply.status, content) != (200, b'{"status":"ok"}'):
        sys.exit(f"{reply.status} {content!r}")
    print(time.perf_counter() - began, flush=True)
