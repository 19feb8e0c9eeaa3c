#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""pages.py TARGETS PAIRS: plays so many exporters with so many pairs each, at /metrics/0 and on, on a free port of
127.0.0.1, which it prints first. The lines are those of a real page; counters grow by what a busy node would count."""
import http.server
import random
import socketserver
import sys
import time

targets, pairs = int(sys.argv[1]), int(sys.argv[2])
began = time.time()
SELF = "".join(f"nfbpf_self_{i:02d} 1\n" for i in range(60)) + "nfbpf_up 1\n"


def page(target):
    """Text of one exporter: pairs of its own address with peers, one in three in either direction."""
    chance = random.Random(target)
    here = f"10.{target >> 8}.{target & 255}.1"
    seconds = time.time() - began
    lines = []
    for member, size in (("bytes", 700), ("packets", 1)):
        lines.append(f"# TYPE nfbpf_source_destination_{member}_total counter\n")
        chance.seed(target)
        for i in range(pairs):
            far = (i * 7919 + target * 104729) % (1 << 20)  # each once, and in no order that gzip would know
            peer = f"172.{16 + (far >> 16)}.{far >> 8 & 255}.{far & 255}"
            source, destination, direction = (here, peer, "out") if i % 3 else (peer, here, "in")
            value = int(seconds * chance.expovariate(0.2)) * size + (chance.randrange(size) if size > 1 else 0)
            lines.append(f'nfbpf_source_destination_{member}_total{{destination="{destination}",direction="{direction}",protocol="tcp",source="{source}"}} {value}\n')
    return SELF + "".join(lines)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = page(int(self.path.rsplit("/", 1)[1])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except BrokenPipeError:
            pass  # who asked is gone: a measurement has ended

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1000


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
