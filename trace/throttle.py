"""How often one address may do something, counted exactly across all server processes of a machine.

A GET must not write to the database, and a counter in a process's own memory is worth n times its limit under n
workers. So the counts lie in one small file in ``DATA_DIR`` that every process maps into memory; a slot is locked while
it is changed. No address is in it: a slot is named by a keyed hash.

The window slides: the previous window counts by the share that still lies within the last ``seconds``. So nobody gets
twice the limit by asking at the seam of two windows. What is refused costs nothing further, and what is never counted
(codes that exist) is never refused. Several machines behind one balancer count each for itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import ipaddress
import mmap
import os
import struct
import threading
import time
from pathlib import Path

from django.conf import settings

SLOTS = 1 << 15
"""Addresses remembered at once; at 28 bytes each the file has under 1 MB."""
_PROBES = 8
_SLOT = struct.Struct("<8sQIII")
"""Name, number of the current window, count in it, count in the one before, length of the window in seconds."""
_guard = threading.Lock()
_maps: dict[tuple[int, str], tuple[mmap.mmap, int]] = {}


def spend(bucket: str, address: str, limit: tuple[int, int], *, now: float | None = None) -> bool:
    """Take one from the allowance of an address; False when ``limit`` (so many in so many seconds) is used up.

    An IPv6 client owns a /64 and is counted as one. What is no address at all shares one allowance.
    """
    return _counted(f"{bucket}:{network_of(address)}", limit, now, takes=True)


def may(bucket: str, limit: tuple[int, int], *, now: float | None = None) -> bool:
    """Whether something is left of an allowance that belongs to no address (a firm's, named in ``bucket``); takes
    nothing. For limits on misses alone, which are taken by ``miss``."""
    return _counted(bucket, limit, now, takes=False)


def miss(bucket: str, limit: tuple[int, int], *, now: float | None = None) -> None:
    """Take one from an allowance that belongs to no address; nothing where none is left."""
    _counted(bucket, limit, now, takes=True)


def _counted(text: str, limit: tuple[int, int], now: float | None, *, takes: bool) -> bool:
    """Whether one more fits the allowance of this name, which is then taken if it is to be."""
    most, seconds = limit
    moment = time.time() if now is None else now
    window, rest = divmod(moment, seconds)
    name = _name(text)
    with _guard:
        memory, file = _memory()
        first = int.from_bytes(name, "little") % SLOTS
        # One lock for the slots of one name: neighbours share it, which only makes them wait.
        fcntl.lockf(file, fcntl.LOCK_EX, _PROBES, first)
        try:
            offset = _find(memory, first, name, moment)
            stored, start, count, before, _length = _SLOT.unpack_from(memory, offset)
            if stored != name or start + 1 < window:
                count, before = 0, 0
            elif start + 1 == window:
                count, before = 0, count
            used = count + before * (1 - rest / seconds)
            if used + 1 > most:
                return False
            if takes:
                _SLOT.pack_into(memory, offset, name, int(window), count + 1, before, seconds)
            return True
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN, _PROBES, first)


def network_of(address: str) -> str:
    """What is counted as one client: the IPv4 address, the IPv6 /64, or "unknown"."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed if parsed.version == 4 else ipaddress.ip_network((parsed, 64), strict=False))


def forget_all() -> None:
    """Every allowance is whole again (tests and operators)."""
    with _guard:
        memory, _file = _memory()
        memory[:] = bytes(len(memory))


def _name(text: str) -> bytes:
    """A keyed hash that names a slot; never all zero, which means free."""
    return hmac.new(settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).digest()[:8] or b"\x01" * 8


def _find(memory: mmap.mmap, first: int, name: bytes, moment: float) -> int:
    """The slot of this name, else a free or outlived one, else the one that would be free soonest."""
    best, best_end = first * _SLOT.size, float("inf")
    for step in range(_PROBES):
        offset = (first + step) * _SLOT.size
        stored, start, _count, _before, length = _SLOT.unpack_from(memory, offset)
        if stored == name:
            return offset
        end = (start + 2) * length if length else 0.0
        if end <= moment:
            end = 0.0
        if end < best_end:
            best, best_end = offset, end
    return best


def _memory() -> tuple[mmap.mmap, int]:
    """The mapped file of this process (a fork opens its own, since locks belong to processes)."""
    path = Path(settings.DATA_DIR) / "throttle.bin"
    key = (os.getpid(), str(path))
    found = _maps.get(key)
    if found is None:
        size = (SLOTS + _PROBES) * _SLOT.size
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(file).st_size < size:
            os.ftruncate(file, size)
        found = _maps[key] = (mmap.mmap(file, size), file)
    return found
