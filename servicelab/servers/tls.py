"""A small TLS server that knows who called, and a socket on every interface that nobody outside can reach."""

import contextlib
import socket
import ssl
import sys
import threading

from servicelab.lifecycle import HOST, Server, ServerError, join
from servicelab.servers import threads

#: Seconds that a client has for its handshake. One that never ends would hold its connection for ever.
HANDSHAKE = 5.0
#: Seconds for which a connection may be silent.
IDLE = 60.0


class TLSServer(Server):
    """HTTP over TLS, one answer for all: "hello, " and the name in the client's certificate, or "somebody".

    ``context`` is an ``ssl.SSLContext`` for a server, with its certificate; with ``verify_mode = CERT_REQUIRED`` and
    trusted authorities it asks for the client's (mutual TLS). A thread for each connection, so that one client's
    handshake holds up nobody else. ``saw`` lists the names of those who were answered. ``nodelay=False`` leaves Nagle's
    algorithm on: a small answer then waits until what was sent before it (the session tickets of TLS 1.3) has been
    acknowledged. Requests have no body.

    Raises :class:`~servicelab.lifecycle.ServerError` for a context that is none, or one for clients.
    """

    scheme = "https"

    def __init__(self, context: ssl.SSLContext, name: str, *, nodelay: bool = True, port: int = 0):
        super().__init__(name, port)
        if not isinstance(context, ssl.SSLContext) or context.protocol != ssl.PROTOCOL_TLS_SERVER:
            raise ServerError(f"context={context!r} must be ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) with a certificate")
        self.context = context
        self.nodelay = nodelay
        self.saw: list[str] = []
        self.errors: list[str] = []
        self._socket = None
        self._open_ones: dict[threading.Thread, socket.socket] = {}

    def _open(self):
        self.saw.clear()
        self.errors.clear()
        self._socket = threads.listen(self.wanted_port)
        self._socket.settimeout(0.1)  # not every system wakes an accept whose socket is closed
        accept = threading.Thread(target=self._accept, args=(self._socket,), name=f"servicelab {self.name} accept")
        accept.daemon = True
        self._open_ones[accept] = self._socket
        accept.start()
        return self._socket.getsockname()[1]

    def _wait_until_it_answers(self):
        """It listens already, and a trial connection would be a handshake that failed."""

    def _close(self):
        if self._socket is None:
            return
        threads.shut(self._socket)
        self._socket.close()
        for one in list(self._open_ones.values()):
            threads.shut(one)
        if left := join(list(self._open_ones), 1.0):
            threads.end(left, self.name, self.errors)
        self._open_ones.clear()

    def _accept(self, listener):
        while listener.fileno() != -1:
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            sock.settimeout(HANDSHAKE)  # of a socket that was accepted: the listening one hands nothing down
            one = threading.Thread(target=self._serve, args=(sock,), name=f"servicelab {self.name} call", daemon=True)
            self._open_ones[one] = sock
            if not threads.started(one):
                del self._open_ones[one]
                sock.close()

    def _serve(self, sock):
        line = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._open_ones[threading.current_thread()] = line
        try:
            line.do_handshake()
        except OSError:
            _leave(line)
            self._open_ones.pop(threading.current_thread(), None)
            return
        try:
            with line:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self.nodelay)
                line.settimeout(IDLE)
                name = peer_name(line.getpeercert())
                body = f"hello, {name}".encode()
                asked = b""
                while data := line.recv(4096):
                    *whole, asked = (asked + data).split(b"\r\n\r\n")
                    for _ in whole:
                        self.saw.append(name)
                        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        except OSError:
            pass  # it has hung up, or is silent for too long
        finally:
            self._open_ones.pop(threading.current_thread(), None)


def _leave(line: ssl.SSLSocket) -> None:
    """Close a connection whose handshake failed, so that the client can read why: closed while something that it has
    sent is unread, TCP would send a reset, which may overtake the alert."""
    with socket.socket(fileno=line.detach()) as sock, contextlib.suppress(OSError):
        sock.settimeout(HANDSHAKE)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass


def peer_name(certificate: dict | None) -> str:
    """The first alternative name of a certificate as ``getpeercert()`` gives it; "somebody" without one."""
    names = [value for _, value in (certificate or {}).get("subjectAltName", ())]
    return names[0] if names else "somebody"


@contextlib.contextmanager
def on_every_interface():
    """A socket that listens on all addresses of this machine, for the length of a ``with`` block; yields its port.

    It is bound to the loopback device (SO_BINDTODEVICE), so that whatever comes from outside never reaches it. Raises
    :class:`~servicelab.lifecycle.ServerError` where the system has no such option or does not permit it: then nothing
    is opened.
    """
    if sys.platform != "linux":
        raise ServerError(f"{sys.platform} cannot bind a socket to the loopback device: nothing was opened")
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        except OSError as error:
            raise ServerError(f"no binding to the loopback device: {error.strerror}; nothing was opened") from error
        sock.bind(("", 0))
        sock.listen()
        yield sock.getsockname()[1]


def answers(host: str, port: int) -> bool:
    """Whether anything takes a connection at this address of the loopback net. Raises ServerError for any other."""
    if not host.startswith(HOST.partition(".")[0] + "."):
        raise ServerError(f"host={host!r} is not of the loopback net: use an address that begins with 127.")
    with socket.socket() as sock:
        sock.settimeout(2)
        return sock.connect_ex((host, port)) == 0
