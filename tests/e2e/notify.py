#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plays systemd: what the exporter says to its NOTIFY_SOCKET, sandboxed as it is.

    notify.py EXPORTER
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

with tempfile.TemporaryDirectory() as folder:
    address = folder + "/notify"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    os.chmod(address, 0o666)
    listener.settimeout(20)
    config = folder + "/exporter.yaml"
    with open(config, "w") as file:
        file.write(f'run_dir: {folder}/run\nweb: {{listen_addresses: ["127.0.0.1:0"]}}\n')
    exporter = subprocess.Popen([sys.argv[1], "--allow-root", "--config.file", config],
                                env={**os.environ, "NOTIFY_SOCKET": address}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def until(word):
        while True:
            said = listener.recv(4096).decode()
            if word in said.split("\n"):
                print(said.replace("\n", " "))
                return said

    until("READY=1")
    until("WATCHDOG=1")
    exporter.send_signal(signal.SIGHUP)
    reloading = until("RELOADING=1")
    at = int(reloading.split("MONOTONIC_USEC=")[1].split("\n")[0])
    assert abs(at / 1e6 - time.monotonic()) < 20, "MONOTONIC_USEC is of another clock"
    until("READY=1")
    with open(config, "a") as file:
        file.write("nonsense: 1\n")
    exporter.send_signal(signal.SIGHUP)
    until("STATUS=serving; the last reload failed, see the log")
    exporter.send_signal(signal.SIGTERM)
    until("STOPPING=1")
    assert exporter.wait(timeout=20) == 0
    print("pass")
