"""Exercise 2: three ways to keep a deadline, and the ways to miss it."""

import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import requests

from servicelab.checks.lab01 import DeadlineExceeded


def by_timer(seconds, url):
    """Somebody else cuts the line."""
    end, parts, over = time.monotonic() + seconds, urlsplit(url), threading.Event()
    line = HTTPConnection(parts.hostname, parts.port, timeout=seconds + 5)  # the timer comes first, even a late one
    line.connect()
    sock = line.sock  # http.client lets go of it when the answer begins

    def cut():
        over.set()
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


def _request(line, parts):
    line.sendall(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    )


def _length(head):
    return int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


def by_socket(seconds, url, allow=lambda seconds, end: end - time.monotonic(), look=True):
    """Each read is allowed what is left."""
    end, parts, answer = time.monotonic() + seconds, urlsplit(url), b""
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as line:
            _request(line, parts)
            while True:
                head, gap, body = answer.partition(b"\r\n\r\n")
                if gap and len(body) >= _length(head):
                    return body
                left = allow(seconds, end)
                if left <= 0 or (look and time.monotonic() >= end):
                    raise DeadlineExceeded(f"{seconds} s are over")
                line.settimeout(left)
                piece = line.recv(65536)
                if not piece:
                    raise ConnectionResetError("the server broke off")
                answer += piece
    except TimeoutError as error:
        raise DeadlineExceeded(f"{seconds} s are over") from error


def by_joined_thread(seconds, url):
    """A thread reads; whoever waits for it cuts the line and sees it off."""
    end, parts, found = time.monotonic() + seconds, urlsplit(url), {}
    line = HTTPConnection(parts.hostname, parts.port, timeout=seconds)
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
    """A fourth hand: requests for everything but the clock, in an object; the line is read until the server closes."""

    def __call__(self, seconds, url):
        cut, over, session = threading.Timer(seconds, self.cut), time.monotonic() + seconds, requests.Session()
        self.line = None
        cut.start()
        try:
            with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as self.line:
                _request(self.line, urlsplit(url))
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


def timeout_only(seconds, url):
    try:
        return requests.get(url, timeout=seconds).content
    except requests.Timeout as error:
        raise DeadlineExceeded from error


def own_exception(seconds, url):
    return requests.get(url, timeout=seconds).content


def after_the_fact(seconds, url):
    start = time.monotonic()
    body = timeout_only(seconds, url)
    if time.monotonic() - start > seconds:
        raise DeadlineExceeded
    return body


def stream_loop(seconds, url):
    end, body = time.monotonic() + seconds, b""
    try:
        with requests.get(url, timeout=seconds, stream=True) as answer:
            for piece in answer.iter_content(1024 if seconds == 5 else 1):
                body += piece
                if time.monotonic() > end:
                    raise DeadlineExceeded
    except (requests.Timeout, requests.ConnectionError) as error:
        if "timed out" in str(error):
            raise DeadlineExceeded from error
        raise
    return body


def stream_without_limit(seconds, url):
    end, body = time.monotonic() + seconds, b""
    with requests.get(url, stream=True) as answer:
        for piece in answer.iter_content(1024 if seconds == 5 else 1):
            body += piece
            if time.monotonic() > end:
                raise DeadlineExceeded
    return body


def clock_anew_for_each_piece(seconds, url):
    return by_socket(seconds, url, allow=lambda seconds, end: seconds, look=False)


def one_limit_for_each_read(seconds, url):
    return by_socket(seconds, url, allow=lambda seconds, end: seconds)


def thread_left_running(seconds, url):
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(lambda: requests.get(url).content).result(timeout=seconds)
    except FutureTimeout as error:
        raise DeadlineExceeded from error
    finally:
        pool.shutdown(wait=False)


def pool_that_waits(seconds, url):
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(lambda: requests.get(url, timeout=4).content).result(timeout=seconds)
        except FutureTimeout as error:
            raise DeadlineExceeded from error


def timer_left_running(seconds, url):
    end, parts = time.monotonic() + seconds, urlsplit(url)
    line = HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    line.connect()
    sock = line.sock

    def cut():
        with suppress(OSError):  # it may be over already
            sock.shutdown(socket.SHUT_RDWR)

    threading.Timer(end - time.monotonic(), cut).start()
    try:
        line.request("GET", f"{parts.path}?{parts.query}")
        body = line.getresponse().read()
    except (OSError, HTTPException) as error:
        if time.monotonic() >= end:
            raise DeadlineExceeded from error
        raise
    finally:
        line.close()
    if time.monotonic() >= end:
        raise DeadlineExceeded
    return body


def cuts_too_late_to_find_the_socket(seconds, url):
    """http.client lets go of ``line.sock`` when the answer begins: the timer finds None."""
    end, parts = time.monotonic() + seconds, urlsplit(url)
    line = HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    line.connect()
    timer = threading.Timer(seconds, lambda: line.sock and line.sock.shutdown(socket.SHUT_RDWR))
    timer.start()
    try:
        line.request("GET", f"{parts.path}?{parts.query}")
        body = line.getresponse().read()
    except (OSError, HTTPException) as error:
        if time.monotonic() >= end:
            raise DeadlineExceeded from error
        raise
    finally:
        timer.cancel()
        line.close()
    if time.monotonic() >= end:
        raise DeadlineExceeded
    return body


def half_a_body(seconds, url):
    """What was there when the line was cut."""
    end, parts, answer = time.monotonic() + seconds, urlsplit(url), b""
    with socket.create_connection((parts.hostname, parts.port)) as line:
        _request(line, parts)
        while (left := end - time.monotonic()) > 0:
            line.settimeout(left)
            try:
                piece = line.recv(65536)
            except TimeoutError:
                break
            if not piece:
                break
            answer += piece
            head, gap, body = answer.partition(b"\r\n\r\n")
            if gap and len(body) >= _length(head):
                break
    return answer.partition(b"\r\n\r\n")[2]


def one_read(seconds, url):
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as line:
            _request(line, parts)
            return line.recv(10**6).partition(b"\r\n\r\n")[2]
    except TimeoutError as error:
        raise DeadlineExceeded from error


def swallows(seconds, url):
    try:
        return by_timer(seconds, url)
    except Exception:
        return None


def everything_is_a_deadline(seconds, url):
    try:
        return by_timer(seconds, url)
    except Exception as error:
        raise DeadlineExceeded from error


def broken_is_a_deadline(seconds, url):
    """The chapter's own version."""
    try:
        return by_timer(seconds, url)
    except HTTPException as error:
        raise DeadlineExceeded from error


_kept = []


def keeps_the_connection(seconds, url):
    parts = urlsplit(url)
    _kept.clear()
    _kept.append(socket.create_connection((parts.hostname, parts.port)))
    return by_timer(seconds, url)


def no_limit_in_silence(seconds, url):
    """A limit for the whole, which is looked at between two pieces only."""
    return by_socket(seconds, url, allow=lambda seconds, end: 60 if end > time.monotonic() else 0)


def another_name(seconds, url):
    try:
        return by_socket(seconds, url)
    except DeadlineExceeded as error:
        raise TimeoutError("too late") from error


def half_when_late(seconds, url):
    try:
        return by_socket(seconds, url)
    except DeadlineExceeded:
        return b"parcel 17: on its"


def gives_up(seconds, url):
    raise DeadlineExceeded


def exits(seconds, url):
    sys.exit("no answer")


def wraps_errors(seconds, url):
    try:
        return by_socket(seconds, url)
    except OSError as error:
        raise RuntimeError("the call failed") from error


def tells_errors_anew(seconds, url):
    try:
        return by_socket(seconds, url)
    except OSError as error:
        problem = str(error)
    raise RuntimeError(problem)


def divides(seconds, url):
    return by_socket(0.7 * seconds, url)


def sets_all_sockets(seconds, url):
    socket.setdefaulttimeout(seconds)
    return by_socket(seconds, url)


def statuses_are_errors(seconds, url):
    body = by_socket(seconds, url)
    if requests.get(url, timeout=seconds).status_code >= 400:
        raise requests.HTTPError(url)
    return body


def behind_the_last_empty_line(seconds, url):
    return by_socket(seconds, url).split(b"\r\n\r\n")[-1]


def tries_again(seconds, url):
    """Within the deadline, why not?"""
    end = time.monotonic() + seconds
    while True:
        try:
            return by_socket(max(0.001, end - time.monotonic()), url)
        except ConnectionResetError:
            if time.monotonic() > end - 1.5:
                raise


def anew_for_the_body(seconds, url):
    """So many seconds for the head, and then for the body."""
    end, parts, answer, begun = time.monotonic() + seconds, urlsplit(url), b"", False
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as line:
        _request(line, parts)
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < _length(answer):
            if not begun and b"\r\n\r\n" in answer:
                end, begun = time.monotonic() + seconds, True
            line.settimeout(max(0.001, end - time.monotonic()))
            try:
                piece = line.recv(65536)
            except TimeoutError:
                raise DeadlineExceeded from None
            if not piece:
                raise ConnectionResetError("the server broke off")
            answer += piece
    return answer.partition(b"\r\n\r\n")[2]


def without_the_query(seconds, url):
    return by_socket(seconds, url.partition("?")[0] + "?")


def as_text(seconds, url):
    return by_socket(seconds, url).decode()


def empty_for_errors(seconds, url):
    try:
        return by_socket(seconds, url)
    except OSError:
        return b""


def deadline_is_none(seconds, url):
    try:
        return by_socket(seconds, url)
    except DeadlineExceeded:
        return None


RIGHT = {
    "timer": by_timer,
    "socket": by_socket,
    "joined thread": by_joined_thread,
    "to the end of the line": ByStreamToTheEnd(),
}
WRONG = {
    "timeout only": (timeout_only, {"late-answer"}),
    "clock anew for each piece": (clock_anew_for_each_piece, {"late-answer"}),
    "elapsed after the fact": (after_the_fact, {"late-error"}),
    "stream loop": (stream_loop, {"late-error"}),
    "stream without limit": (stream_without_limit, {"late-error"}),
    "one limit for each read": (one_limit_for_each_read, {"late-error"}),
    "no limit in silence": (no_limit_in_silence, {"endless"}),
    "requests' own exception": (own_exception, {"late-answer"}),
    "a deadline by another name": (another_name, {"other-error"}),
    "thread left running": (thread_left_running, {"left-running", "socket-left"}),
    "pool that waits": (pool_that_waits, {"late-error"}),
    "timer left running": (timer_left_running, {"left-running"}),
    "cuts a socket that is gone": (cuts_too_late_to_find_the_socket, {"late-error"}),
    "half a body": (half_a_body, {"swallowed"}),
    "half a body in the end": (half_when_late, {"half"}),
    "one read": (one_read, {"part"}),
    "errors become None": (swallows, {"swallowed"}),
    "errors become nothing": (empty_for_errors, {"swallowed"}),
    "the deadline is None": (deadline_is_none, {"none"}),
    "every error is a deadline": (everything_is_a_deadline, {"disguised"}),
    "a broken line is a deadline": (broken_is_a_deadline, {"disguised"}),
    "an error in an error": (wraps_errors, {"wrapped"}),
    "an error told anew": (tells_errors_anew, {"wrapped"}),
    "two thirds of the time": (divides, {"early"}),
    "sets all sockets": (sets_all_sockets, {"setting-left"}),
    "statuses are errors": (statuses_are_errors, {"error"}),
    "behind the last empty line": (behind_the_last_empty_line, {"wrong"}),
    "tries again": (tries_again, {"asked"}),
    "anew for the body": (anew_for_the_body, {"late-error"}),
    "without the query": (without_the_query, {"asked"}),
    "as text": (as_text, {"wrong"}),
    "keeps a connection": (keeps_the_connection, {"socket-left"}),
    "gives up at once": (gives_up, {"error"}),
    "calls exit()": (exits, {"exit"}),
}
