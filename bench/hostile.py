#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What good scrapes cost while bad clients hold on: half of them send half a request, half ask for
the page and never read it. Each bad client comes again when it was cut.

    hostile.py HOST:PORT PATH [--bad 100] [--seconds 60]

Prints a line of JSON: scrapes, refused, p50, p99, longest (seconds), and how long a bad client was
let hold on at the most.
"""
import argparse
import json
import socket
import threading
import time


def dial(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


class ServerSide(threading.Thread):
    """Which clients' connections the server's kernel still holds anything for: a client that does not
    read is not told that it was cut."""

    HOLDING = {"01", "03", "04", "08", "09", "0B"}  # ESTABLISHED ... CLOSING, of include/net/tcp_states.h

    def __init__(self, address, stop):
        super().__init__(daemon=True)
        self.port = f"{int(address.rsplit(':', 1)[1]):04X}"
        self.stop, self.held = stop, set()

    def run(self):
        while not self.stop.is_set():
            held = set()
            for line in open("/proc/net/tcp"):
                fields = line.split()
                if fields[1].endswith(":" + self.port) and fields[3] in self.HOLDING:
                    held.add(int(fields[2].split(":")[1], 16))
            self.held = held
            time.sleep(0.1)


class Bad(threading.Thread):
    """Holds a connection as long as it is let; remembers the longest."""

    def __init__(self, address, request, server, stop):
        super().__init__(daemon=True)
        self.address, self.request, self.server, self.stop = address, request, server, stop
        self.longest = 0.0
        self.cuts = 0

    def run(self):
        while not self.stop.is_set():
            try:
                with dial(self.address) as s:
                    began = time.monotonic()
                    s.sendall(self.request)
                    self.hold(s.getsockname()[1], began)
            except OSError:
                time.sleep(0.1)

    def hold(self, port, began):
        time.sleep(0.5)  # until the look at the server's side has it
        while port in self.server.held and not self.stop.is_set():
            time.sleep(0.1)
        self.longest = max(self.longest, time.monotonic() - began)
        self.cuts += not self.stop.is_set()


def scrape(address, path):
    """Seconds; None when it was refused or broke off."""
    began = time.monotonic()
    try:
        with dial(address) as s:
            s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            parts = []
            while part := s.recv(1 << 20):
                parts.append(part)
    except OSError:
        return None
    page = b"".join(parts)
    if b" 200 " not in page[:20] or not page.endswith(b"\n"):
        return None
    return time.monotonic() - began


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("address")
    arguments.add_argument("path")
    arguments.add_argument("--bad", type=int, default=100, help="of each sort")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--head-start", type=float, default=1)
    a = arguments.parse_args()
    stop = threading.Event()
    half = f"GET {a.path} HTTP/1.1\r\nHost: x\r\nX-Half".encode()
    whole = f"GET {a.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    server = ServerSide(a.address, stop)
    server.start()
    bad = [Bad(a.address, half, server, stop) for _ in range(a.bad)]
    bad += [Bad(a.address, whole, server, stop) for _ in range(a.bad)]
    for one in bad:
        one.start()
    time.sleep(a.head_start)
    times, refused = [], 0
    end = time.monotonic() + a.seconds
    while time.monotonic() < end:
        took = scrape(a.address, a.path)
        if took is None:
            refused += 1
        else:
            times.append(took)
        time.sleep(max(0.0, 1 - (took or 0)))
    stop.set()
    for one in bad:
        one.join(timeout=30)
    times.sort()
    at = lambda share: round(times[min(len(times) - 1, int(len(times) * share))], 3) if times else None
    print(json.dumps({
        "scrapes": len(times) + refused, "refused": refused, "p50": at(0.5), "p99": at(0.99),
        "longest": at(1), "half_open_held": round(max(b.longest for b in bad[:a.bad]), 1),
        "never_reading_held": round(max(b.longest for b in bad[a.bad:]), 1),
        "cuts": sum(b.cuts for b in bad)}))


main()
