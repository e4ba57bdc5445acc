"""Asking a server over connections that stay open: as fast as it answers, or at a given pace."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass


class Line:
    """One connection that stays open; reads whole answers by their Content-Length."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send_whole(self, request: bytes) -> None:
        """Send a request made before."""
        self.socket.sendall(request)

    def send(self, path: str) -> None:
        """Ask as a phone does."""
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html,*/*;q=0.8\r\n"
        self.socket.sendall(f"{head}Accept-Encoding: gzip, br\r\nAccept-Language: zh-CN\r\n\r\n".encode())

    def receive(self, wanted: bytes = b" 200 ") -> int:
        """Wait for one answer; the bytes of its body. An answer that is not as wanted is an error."""
        data = self.rest
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _blank, data = data.partition(b"\r\n\r\n")
        if wanted not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head.decode("latin-1"))
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        while len(data) < length:
            data += self._more()
        self.rest = data[length:]
        return length

    def _more(self) -> bytes:
        """What has come."""
        data = self.socket.recv(65536)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def per_second(port: int, paths: Sequence[str], lines: int = 16) -> float:
    """Answers a second when ``lines`` questions are open all the time; the paths are asked in their order."""
    open_ones = [Line(port) for _ in range(lines)]
    try:
        began = time.perf_counter()
        for start in range(0, len(paths), lines):
            asked = list(zip(open_ones, paths[start : start + lines], strict=False))
            for line, path in asked:
                line.send(path)
            for line, _path in asked:
                line.receive()
        return len(paths) / (time.perf_counter() - began)
    finally:
        for line in open_ones:
            line.close()


@dataclass(frozen=True)
class Waits:
    """How long answers took at a given pace, in milliseconds, from the moment each was due."""

    taken: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """The time within which this share of the answers came."""
        ordered = sorted(self.taken)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def at_pace(port: int, paths: Sequence[str], rate: float, lines: int = 8) -> Waits:
    """Ask at a steady pace, ``rate`` questions a second over all lines, whether or not answers have come."""
    taken: list[list[float]] = [[] for _ in range(lines)]
    began = time.perf_counter() + 0.1

    def ask(number: int) -> None:
        line = Line(port)
        try:
            for place in range(number, len(paths), lines):
                due = began + place / rate
                time.sleep(max(0.0, due - time.perf_counter()))
                line.send(paths[place])
                line.receive()
                taken[number].append((time.perf_counter() - due) * 1000)
        finally:
            line.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(lines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Waits(tuple(each for own in taken for each in own))
