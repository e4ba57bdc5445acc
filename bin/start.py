"""Start the server and the worker together, and stop both on Ctrl-C or SIGTERM.

    bin/start.py demo         the demonstration: plain HTTP, data and log-ins of its own (`make run`)
    bin/start.py production   the real thing (`make serve`)

HOST and PORT say where to listen (127.0.0.1 and 8000).
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from installation import DEMO_DIR, ROOT, base_environment, demo_environment, must_manage

HOST = os.environ.get("HOST") or "127.0.0.1"
PORT = os.environ.get("PORT") or "8000"
# Of one server process. Whoever waits for the commit of others costs no processor, and those who wait together are
# written together; each may need one of the process's ten connections to PostgreSQL.
THREADS = 8
STOP_SECONDS = 10
# A worker that ends by itself is started again, after a pause so that a fault at its start cannot spin.
RESTART_SECONDS = 5


class Processes:
    """The server and the worker: started together, watched, stopped together."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.public_host = urlsplit(environment["PUBLIC_BASE_URL"]).netloc
        self.stopping = False

    def start(self, name: str, *arguments: str) -> None:
        """Start one process in a session of its own: Ctrl-C reaches us alone and we stop them in order."""
        self.running[name] = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment, start_new_session=True
        )

    def stop(self, *_: object) -> None:
        """Ask every process to end, and end those that do not."""
        self.stopping = True
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.running.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def port_number() -> int:
    """PORT as a number that can be listened on, or an end with the reason."""
    if not PORT.isascii() or not PORT.isdigit() or not 0 < int(PORT) < 65536:
        sys.exit(f"PORT must be a number from 1 to 65535, not {PORT!r}.")
    return int(PORT)


def refuse_a_taken_port(port: int) -> None:
    """Say so in plain words before anything is started."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(HOST, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        sys.exit(f"Cannot listen on {HOST}:{port} ({error.strerror}). Choose another port: make run PORT={port + 1}")


def demonstration(port: int, folder: Path) -> dict[str, str]:
    """The demonstration's environment, its database migrated, and filled if it is empty.

    Filling it is one transaction: a start that is interrupted leaves an empty database, which the next one fills.
    """
    environment = demo_environment(HOST, port, folder)
    must_manage(environment, "demo", "--prepare", "--if-empty", "--logins")
    return environment


def production(port: int) -> dict[str, str]:
    """The production environment, refused with one sentence while a required setting is missing."""
    sys.path.insert(0, str(ROOT))
    environment = base_environment()
    environment["TRACE_DEMO"] = "0"
    os.environ.update(TRACE_DEMO="0")
    from django.core.exceptions import ImproperlyConfigured

    try:
        from config import settings
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    if settings.DEBUG:
        sys.exit("DEBUG is on: it shows the program's insides to everybody. Take it out of the settings.")
    environment["PUBLIC_BASE_URL"] = settings.PUBLIC_BASE_URL
    must_manage(environment, "prepare", "--serve")
    return environment


def wait_until_answering(port: int, processes: Processes) -> bool:
    """Whether the server came to answer."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(HOST, HOST)  # noqa: S104
    for _ in range(600):
        if processes.stopping or processes.running["server"].poll() is not None:
            return False
        probe = http.client.HTTPConnection(host, port, timeout=2)
        try:
            probe.request("HEAD", "/", headers={"Host": processes.public_host})
            probe.getresponse()
        except OSError:
            time.sleep(0.1)
        else:
            return True
        finally:
            probe.close()
    return False


def watch(processes: Processes) -> int:
    """Until told to stop: an ended worker is started again, an ended server ends us; the exit status."""
    while not processes.stopping:
        server, worker = processes.running["server"], processes.running["worker"]
        if server.poll() is not None:
            print(f"The server ended by itself (status {server.returncode}).", file=sys.stderr, flush=True)
            return 1
        if worker.poll() is not None:
            print(
                f"The worker ended (status {worker.returncode}); starting it again.",
                file=sys.stderr,
                flush=True,
            )
            time.sleep(RESTART_SECONDS)
            if not processes.stopping:
                processes.start("worker", "manage.py", "worker")
        time.sleep(0.3)
    return 0


def main() -> None:
    """See the top of the file."""
    demo = sys.argv[1:] == ["demo"]
    if not demo and sys.argv[1:] != ["production"]:
        sys.exit(__doc__)
    port = port_number()
    refuse_a_taken_port(port)
    environment = (
        demonstration(port, Path(os.environ.get("DATA_DIR") or DEMO_DIR).resolve()) if demo else production(port)
    )

    processes = Processes(environment)

    def told_to_stop(number: int, frame: FrameType | None) -> None:
        processes.stopping = True

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, told_to_stop)
    workers = os.environ.get("WEB_WORKERS") or ("1" if demo else "2")
    options = ["--interface", "wsgi", "--no-ws", "--log-level", "warning", "--host", HOST, "--port", str(port)]
    options += ["--workers", workers, "--blocking-threads", str(THREADS), "--respawn-failed-workers"]
    processes.start("server", "-m", "granian", *options, "config.wsgi:application")
    processes.start("worker", "manage.py", "worker")
    status = 1
    try:
        if wait_until_answering(port, processes):
            print(f"\n  {environment['PUBLIC_BASE_URL']}/\n\nStop with Ctrl-C.", flush=True)
        status = watch(processes)
    finally:
        processes.stop()
    sys.exit(status)


if __name__ == "__main__":
    main()
