"""Exercise 2: the order in two trips, written in three ways, and mistakes."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import requests

FIRST = ("inventory/reserve", "risk/check")
AFTERWARDS = ("shipping/book", "mail/send", "points/add")
UNDO = ("payment/void", "inventory/release")


def at_once(call, number, *paths):
    with ThreadPoolExecutor(len(paths)) as pool:
        return list(pool.map(lambda path: call(path, number), paths))


def pooled(number, call, later, afterwards=AFTERWARDS, undo=UNDO, both=all, silent=False):
    fine = both(at_once(call, number, "inventory/reserve", "risk/check"))
    try:
        fine = fine and call("payment/charge", number)
    except requests.Timeout:
        fine = silent
    for path in afterwards if fine else undo:
        later(path, number)
    return fine


def threads(number, call, later):
    """A thread for risk; each way out says what it undoes."""
    said = {}
    thread = threading.Thread(target=lambda: said.update(risk=call("risk/check", number)))
    thread.start()
    is_reserved = call("inventory/reserve", number)
    thread.join()
    if not is_reserved:
        return False
    if not said["risk"]:
        later("inventory/release", number)
        return False
    try:
        if not call("payment/charge", number):
            later("inventory/release", number)
            return False
    except requests.Timeout:
        later("inventory/release", number)
        later("payment/void", number)
        return False
    for path in reversed(AFTERWARDS):
        later(path, number)
    return True


class Saga:
    """What undoes a step is noted before it."""

    def __init__(self, number, call, later):
        self.number, self.call, self.later, self.undo = number, call, later, []

    def step(self, path, undo):
        self.undo.append(undo)
        return self.call(path, self.number)

    def run(self):
        with ThreadPoolExecutor(2) as pool:
            stock = pool.submit(self.step, "inventory/reserve", "inventory/release")
            risk = pool.submit(self.call, "risk/check", self.number)
            answers = stock.result(), risk.result()
        try:
            if answers == (True, True) and self.step("payment/charge", "payment/void"):
                self.undo = []
                [self.later(path, self.number) for path in AFTERWARDS]
                return True
        except requests.RequestException:
            pass
        while self.undo:
            self.later(self.undo.pop(), self.number)
        return False


def releases_itself(number, call, later):
    """What was reserved is released by a call, where a trip is left for it."""
    stock, risk = at_once(call, number, "inventory/reserve", "risk/check")
    if stock and not risk:
        call("inventory/release", number)
    known = {"inventory/reserve": stock, "risk/check": risk}
    return pooled(number, lambda path, number: known[path] if path in known else call(path, number), later)


def one_after_another(number, call, later, queued=False):
    """As it was handed out, but for what undoes."""
    if call("inventory/reserve", number) and call("risk/check", number):
        try:
            if call("payment/charge", number):
                for path in AFTERWARDS:
                    (later if queued else call)(path, number)
                return True
        except requests.Timeout:
            pass
    for path in UNDO:
        later(path, number)
    return False


def three_at_once(number, call, later):
    """Payment, too: whoever is refused gets the money back."""
    try:
        fine = all(at_once(call, number, "inventory/reserve", "risk/check", "payment/charge"))
    except requests.Timeout:
        fine = False
    for path in AFTERWARDS if fine else UNDO:
        later(path, number)
    return fine


def with_the_parcel(number, call, later):
    """The parcel is booked while payment is asked."""
    fine = all(at_once(call, number, "inventory/reserve", "risk/check"))
    try:
        fine = fine and all(at_once(call, number, "payment/charge", "shipping/book"))
    except requests.Timeout:
        fine = False
    for path in AFTERWARDS[1:] if fine else UNDO:
        later(path, number)
    return fine


def mails_before(number, call, later):
    later("mail/send", number)
    return pooled(number, call, later, AFTERWARDS[::2])


def pays_later(number, call, later):
    fine = all(at_once(call, number, "inventory/reserve", "risk/check"))
    for path in ("payment/charge", *AFTERWARDS) if fine else UNDO:
        later(path, number)
    return fine


def skips(what):
    """It queues what it should ask for."""

    def order(number, call, later):
        def ask(path, number):
            return later(path, number) is None if path == what else call(path, number)

        return pooled(number, ask, later)

    return order


def undoes_at_once(number, call, later):
    """It waits until all is undone."""
    return pooled(number, call, lambda path, number: (call if path in UNDO else later)(path, number))


def queues_first(what):
    """In case that it is needed: if payment says nothing, it is there already."""

    def order(number, call, later):
        later(what, number)
        return pooled(number, call, later)

    return order


def the_first_no(number, call, later):
    """It does not wait for the other answer."""
    pool = ThreadPoolExecutor(2)
    answers = [pool.submit(call, path, number) for path in FIRST]
    pool.shutdown(wait=False)
    fine = all(answer.result() for answer in as_completed(answers))
    return pooled(number, lambda path, number: fine and (path in FIRST or call(path, number)), later)


def voids_only(number, call, later):
    """Payment will have said it all."""
    try:
        return pooled(number, lambda path, number: wrapped(call, path, number), later)
    except RuntimeError:
        return later("payment/void", number) is not None


def wrapped(call, path, number):
    try:
        return call(path, number)
    except requests.Timeout as error:
        raise RuntimeError from error


def raises_it(number, call, later):
    fine = all(at_once(call, number, "inventory/reserve", "risk/check")) and call("payment/charge", number)
    for path in AFTERWARDS if fine else UNDO:
        later(path, number)
    return fine


def releases_what_risk_refused(number, call, later):
    """It thinks of the first refusal only."""
    stock, risk = at_once(call, number, "inventory/reserve", "risk/check")
    fine = stock and risk
    try:
        fine = fine and call("payment/charge", number)
    except requests.Timeout:
        fine = later("payment/void", number) is not None
    else:
        if not risk:
            later("inventory/release", number)
            return False
        if stock and not fine:
            return False
    for path in AFTERWARDS if fine else UNDO:
        later(path, number)
    return fine


RIGHT = {"a pool": pooled, "threads": threads, "a saga": lambda *given: Saga(*given).run(), "a call": releases_itself}
WRONG = {
    "one after another": (one_after_another, {"many-trips"}),
    "only a queue": (lambda *given: one_after_another(*given, queued=True), {"many-trips"}),
    "undoes at once": (undoes_at_once, {"many-trips"}),
    "pays later": (pays_later, {"not-paid"}),
    "reserves later": (skips("inventory/reserve"), {"not-reserved"}),
    "checks later": (skips("risk/check"), {"not-checked"}),
    "voids in case": (queues_first("payment/void"), {"not-paid"}),
    "releases in case": (queues_first("inventory/release"), {"not-reserved"}),
    "the first no": (the_first_no, {"left-running"}),
    "three at once": (three_at_once, {"asked-to-pay"}),
    "either will do": (lambda *given: pooled(*given, both=any), {"other-answer"}),
    "no mail": (lambda *given: pooled(*given, AFTERWARDS[::2]), {"not-done"}),
    "two parcels": (lambda *given: pooled(*given, (*AFTERWARDS, AFTERWARDS[0])), {"not-done"}),
    "says nothing of it": (lambda *given: pooled(*given) or None, {"other-answer"}),
    "always accepted": (lambda *given: pooled(*given) or True, {"other-answer"}),
    "never releases": (lambda *given: pooled(*given, undo=()), {"kept"}),
    "releases for risk only": (releases_what_risk_refused, {"kept"}),
    "with the parcel": (with_the_parcel, {"sent-all-the-same"}),
    "mails before": (mails_before, {"sent-all-the-same"}),
    "never voids": (lambda *given: pooled(*given, undo=UNDO[1:]), {"silent"}),
    "voids only": (voids_only, {"silent"}),
    "no answer is a yes": (lambda *given: pooled(*given, silent=True), {"silent"}),
    "raises it": (raises_it, {"silent"}),
}
