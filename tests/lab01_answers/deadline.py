"""Exercise 2: four ways to keep a deadline, and the ways to miss it."""

import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import nullcontext, suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import requests

from servicelab.checks.lab01 import DeadlineExceeded
from tests.lab11_answers import but


def by_timer(seconds, url):
    """Somebody else cuts the line."""
    end, parts, over = time.monotonic() + seconds, urlsplit(url), threading.Event()
    line = HTTPConnection(parts.hostname, parts.port, timeout=seconds + 5)  # the timer comes first, even a late one
    line.connect()
    sock = line.sock  # http.client lets go of it when the answer begins

    def cut():
        over.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(end - time.monotonic(), cut)
    timer.start()
    try:
        line.request("GET", f"{parts.path}?{parts.query}")
        body = line.getresponse().read()
    except (OSError, HTTPException):
        if not over.is_set():
            raise
    finally:
        timer.cancel()
        line.close()
    if over.is_set():
        raise DeadlineExceeded(f"{seconds} s are over")
    return body


def _ask(line, parts):
    line.sendall(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    )


def _length(head):
    return int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


def _is_whole(answer):
    head, gap, body = answer.partition(b"\r\n\r\n")
    return gap and len(body) >= _length(head)


def by_socket(seconds, url):
    """Each read is allowed what is left."""
    end, parts, answer = time.monotonic() + seconds, urlsplit(url), b""
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as line:
            _ask(line, parts)
            while not _is_whole(answer):
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                line.settimeout(left)
                piece = line.recv(65536)
                if not piece:
                    raise ConnectionResetError("the server broke off")
                answer += piece
    except TimeoutError as error:
        raise DeadlineExceeded(url) from error
    return answer.partition(b"\r\n\r\n")[2]


def by_joined_thread(seconds, url):
    """A thread reads; whoever waits for it cuts the line and sees it off."""
    end, parts, found = time.monotonic() + seconds, urlsplit(url), {}
    line = HTTPConnection(parts.hostname, parts.port, timeout=seconds + 5)  # as above
    line.connect()
    sock = line.sock

    def read():
        try:
            line.request("GET", f"{parts.path}?{parts.query}")
            found["body"] = line.getresponse().read()
        except Exception as error:
            found["error"] = error

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(end - time.monotonic())
    late = reader.is_alive()
    if late:
        sock.shutdown(socket.SHUT_RDWR)
        reader.join()
    line.close()
    if late:
        raise DeadlineExceeded(f"{seconds} s are over")
    if "error" in found:
        raise found["error"]
    return found["body"]


class ByStreamToTheEnd:
    """Requests for everything but the clock, in an object; the line is read until the server closes."""

    def __call__(self, seconds, url):
        cut, over, session = threading.Timer(seconds, self.cut), time.monotonic() + seconds, requests.Session()
        self.line = None
        cut.start()
        try:
            with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as self.line:
                _ask(self.line, urlsplit(url))
                answer = b"".join(iter(lambda: self.line.recv(4096), b""))
        except OSError:
            if time.monotonic() < over:
                raise
            answer = b""
        finally:
            cut.cancel()
            session.close()
        if time.monotonic() >= over:
            raise DeadlineExceeded(url)
        body = answer.partition(b"\r\n\r\n")[2]
        if len(body) < _length(answer):
            raise EOFError("half an answer")
        return body

    def cut(self):
        with suppress(OSError, AttributeError):
            self.line.shutdown(socket.SHUT_RDWR)


def half_has_a_name(seconds, url):
    """Which error says that the server broke off is up to whoever writes it."""
    try:
        return by_timer(seconds, url)
    except (HTTPException, ConnectionResetError) as error:
        raise EOFError("the server broke off") from error


# -- mistakes ------------------------------------------------------------------------------------------


def timeout_only(seconds, url):
    start = time.monotonic()  # for an answer that is made of this one
    try:
        body = requests.get(url, timeout=seconds).content
    except requests.Timeout as error:
        raise DeadlineExceeded(start) from error
    return body


def stream_loop(seconds, url):
    end, body = time.monotonic() + seconds, b""
    try:
        with requests.get(url, timeout=seconds, stream=True) as answer:
            for piece in answer.iter_content(1024 if seconds > 2 else 1):
                body += piece
                if time.monotonic() > end:
                    raise DeadlineExceeded
    except (requests.Timeout, requests.ConnectionError) as error:
        if "timed out" in str(error):
            raise DeadlineExceeded from error
        raise
    return body


def thread_left_running(seconds, url):
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(lambda: requests.get(url).content).result(timeout=seconds)
    except FutureTimeout as error:
        raise DeadlineExceeded from error
    finally:
        pool.shutdown(wait=False)


def tells_errors_anew(seconds, url):
    try:
        return by_socket(seconds, url)
    except ConnectionError as error:
        problem = str(error)
    raise RuntimeError(problem)


def tries_again(seconds, url):
    """Within the deadline, why not?"""
    end = time.monotonic() + seconds
    while True:
        try:
            return by_socket(max(0.001, end - time.monotonic()), url)
        except ConnectionResetError:
            if time.monotonic() > end - 1.5:
                raise


def kept(*address, **options):
    _kept[:] = [socket.create_connection(*address, **options)]
    return nullcontext(_kept[0])


_kept = []


def gives_up(seconds, url):
    raise DeadlineExceeded


def exits(seconds, url):
    sys.exit("no answer")


def timer(*changes):
    return but(by_timer, *changes)


def reads(*changes):
    return but(by_socket, *changes)


def connection_errors(become):
    return reads(f"except TimeoutError => except ConnectionError as error:\n        {become}\n    except TimeoutError")


LIMIT, OVER, BROKEN = "settimeout(left)", "raise DeadlineExceeded(url)", 'ConnectionResetError("the server broke off")'
WHAT_IS_LEFT, BODY, CUT = (
    "left = end - time.monotonic()",
    'answer.partition(b"\\r\\n\\r\\n")[2]',
    "sock.shutdown(socket",
)
RIGHT = {
    "timer": by_timer,
    "socket": by_socket,
    "joined thread": by_joined_thread,
    "to the end of the line": ByStreamToTheEnd(),
    "a name of its own for half an answer": half_has_a_name,
}
WRONG = {
    "timeout only": (timeout_only, {"late"}),
    "elapsed after the fact": (
        but(
            timeout_only,
            "return body => if time.monotonic() < start + seconds:\n        return body\n    raise DeadlineExceeded",
        ),
        {"late"},
    ),
    "stream loop": (stream_loop, {"late"}),
    "clock anew for each piece": (reads(f"{WHAT_IS_LEFT} => left = seconds"), {"late"}),
    "one limit for each read": (reads(f"{LIMIT} => settimeout(seconds)"), {"late"}),
    "no limit in silence": (reads(f"{LIMIT} => settimeout(60)"), {"late"}),
    "anew for the body": (
        reads(f"{WHAT_IS_LEFT} => end += seconds * answer.endswith(b'\\r\\n\\r\\n')\n                {WHAT_IS_LEFT}"),
        {"late"},
    ),
    "thread left running": (thread_left_running, {"left-running"}),
    "timer left running": (timer("timer.cancel() => pass"), {"left-running"}),
    "cuts a socket that is gone": (timer(f"{CUT} => line.sock and line.{CUT}"), {"late"}),
    "keeps a connection": (reads("socket.create_connection( => kept("), {"left"}),
    "sets all sockets": (reads(f"{LIMIT} => {LIMIT}\n                socket.setdefaulttimeout(left)"), {"left"}),
    "a deadline by another name": (reads(f"{OVER} => raise TimeoutError"), {"other-error"}),
    "two thirds of the time": (reads("time.monotonic() + seconds, => time.monotonic() + 0.7 * seconds,"), {"early"}),
    "half a body in the end": (reads(f"{OVER} from error => pass"), {"half"}),
    "the deadline is None": (reads(f"{OVER} from error => return None"), {"half"}),
    "half a body": (reads(f"raise {BROKEN} => break"), {"swallowed"}),
    "nothing is an empty body": (
        reads(
            "if not piece: => if not piece and not answer:\n                    break\n                if not piece:"
        ),
        {"swallowed"},
    ),
    "looks at the clock on an error only": (
        timer(
            "if over.is_set(): => if False:",
            "            raise\n    finally =>             raise\n        raise DeadlineExceeded\n    finally",
        ),
        {"half"},
    ),
    "errors become None": (connection_errors("return None"), {"swallowed"}),
    "every error is a deadline": (reads("except TimeoutError => except OSError"), {"disguised"}),
    "a broken line is a deadline": (reads(f"{BROKEN} => DeadlineExceeded"), {"disguised"}),
    "an error in an error": (connection_errors("raise RuntimeError(url) from error"), {"wrapped"}),
    "an error told anew": (tells_errors_anew, {"wrapped"}),
    "tries again": (tries_again, {"asked"}),
    "without the query": (reads('urlsplit(url) => urlsplit(url.partition("?")[0])'), {"asked"}),
    "statuses are errors": (reads(f"{BODY} => {BODY} if b' 200 ' in answer else 1 / 0"), {"error"}),
    "gives up at once": (gives_up, {"error"}),
    "one read": (reads("not _is_whole(answer) => not answer"), {"body"}),
    "behind the last empty line": (reads(f"{BODY} => answer.split(b'\\r\\n\\r\\n')[-1]"), {"body"}),
    "as text": (reads(f"{BODY} => {BODY}.decode()"), {"body"}),
    "calls exit()": (exits, {"exit"}),
}
