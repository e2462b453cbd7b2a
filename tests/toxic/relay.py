"""A relay before a server, which counts what the server answers and says when a byte of that is reached."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

Address = tuple[str, int]


class Relay:
    """Passes bytes between whoever connects and a server.

    Args:
        server: to whom everything goes.
    """

    def __init__(self, server: Address) -> None:
        self.server = server
        self.answered = 0
        """Bytes that the server answered since `watch`."""
        self._at: int | None = None
        self._do: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._listener.getsockname()
        return str(host), int(port)

    def watch(self, at: int | None = None, do: Callable[[], None] = lambda: None) -> None:
        """Count from 0 on, and do something once, between so many bytes of answers and the next one."""
        with self._lock:
            self.answered, self._at, self._do = 0, at, do

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.server)
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pump in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _pump(self, source: socket.socket, goal: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers:
                    data = self._counted(data, goal)
                goal.sendall(data)
        for one in (source, goal):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _counted(self, data: bytes, goal: socket.socket) -> bytes:
        """Count an answer, and pass on and act as `watch` says; what is left to be passed on."""
        with self._lock:
            before, self.answered = self.answered, self.answered + len(data)
            if self._at is None or self.answered <= self._at:
                return data
            first, do, self._at = self._at - before, self._do, None
        goal.sendall(data[:first])
        do()
        return data[first:]
