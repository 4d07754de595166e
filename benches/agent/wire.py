"""The wire: two network namespaces joined by a pair of interfaces, and every IP packet that crosses it counted.

Not responsible for who speaks over it.
"""

import ctypes
import os
import socket
import struct
import subprocess
import threading
import time

SERVER, TERMINAL = "10.213.77.1", "10.213.77.2"
NEW_NETWORK = 0x4000_0000
# The kernel shows what goes out to those alone who ask for every protocol.
EVERY = 3
# IPv4 alone is counted: ARP is between neighbours and not the agent's.
IPV4, TCP = 0x0800, 6
OUTGOING = 4


class Namespace:
    """A network of its own, which goes when it is closed."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def command(self, arguments):
        return ["ip", "netns", "exec", self.name, *map(str, arguments)]

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def join(server, terminal):
    """Joins both by one wire."""
    ends = (server, "cpserver", SERVER), (terminal, "cpterminal", TERMINAL)
    run("ip", "-n", server.name, "link", "add", ends[0][1], "type", "veth", "peer", ends[1][1], "netns", terminal.name)
    for namespace, link, address in ends:
        run("ip", "-n", namespace.name, "address", "add", f"{address}/30", "dev", link)
        run("ip", "-n", namespace.name, "link", "set", link, "up")


def run(*command):
    subprocess.run(command, check=True)


class Wire:
    """Every packet to and from one port of the server's end: when, how long, how much of it is payload."""

    def __init__(self, namespace, port):
        self.packets = []
        self.port = port
        with inside(namespace):
            # Begins with the IP header: what is below it depends on the network.
            self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY))
            self.tap.bind(("cpserver", EVERY))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                packet, about = self.tap.recvfrom(65_536)
            except OSError:
                return
            if about[1] == IPV4:
                self._count(packet, down=about[2] == OUTGOING)

    def _count(self, packet, down):
        head = (packet[0] & 15) * 4
        if packet[9] != TCP:
            return
        ports = struct.unpack_from("!HH", packet, head)
        if self.port not in ports:
            return
        # The length that the header says: frames may be padded.
        length = struct.unpack_from("!H", packet, 2)[0]
        payload = length - head - (packet[head + 12] >> 4) * 4
        self.packets.append((time.monotonic(), down, length, payload))

    def between(self, begin, end):
        """Bytes, payload and packets of a time."""
        chosen = [one for one in list(self.packets) if begin <= one[0] < end]
        return {
            "bytes": sum(one[2] for one in chosen),
            "payload": sum(one[3] for one in chosen),
            "packets": len(chosen),
            "up": sum(one[2] for one in chosen if not one[1]),
            "down": sum(one[2] for one in chosen if one[1]),
        }

    def close(self):
        self.tap.close()


class inside:
    """In a network namespace meanwhile: a socket belongs to the one that it was made in."""

    def __init__(self, namespace):
        self.there = f"/run/netns/{namespace.name}"

    def __enter__(self):
        self.here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.there, os.O_RDONLY)
        enter(there)
        os.close(there)

    def __exit__(self, *_):
        enter(self.here)
        os.close(self.here)


def enter(file):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "setns")
