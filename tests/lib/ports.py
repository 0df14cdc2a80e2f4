"""Ports of 127.0.0.1 for the servers that tests start."""

import random
import socket


def free_port(kind=socket.SOCK_STREAM):
    """Below the kernel's range of ephemeral ports: a port from there can become a client's before its server listens."""
    for _ in range(200):
        port = random.randrange(15000, 32000)
        with socket.socket(socket.AF_INET, kind) as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port of 127.0.0.1 between 15000 and 32000 is free")
