"""Exercise 4: events that are enough, and events that are too little or too much."""

from contextlib import suppress


def event(kind, order):
    return {"kind": kind, **{name: order[name] for name in ("id", "version", "address", "lines")}}


class Shipping:
    """Keeps the newest address of each order, and which parcels have gone."""

    def __init__(self, ask, send):
        self.ask, self.send, self.newest, self.gone = ask, send, {}, set()

    def hear(self, event):
        id, known = event["id"], (event["version"], event["address"])
        if event["kind"] in ("paid", "moved"):
            self.newest[id] = self.newer(known, self.newest.get(id, known))
        if event["kind"] == "paid" and id not in self.gone:
            self.gone.add(id)
            self.send(self.parcel(event, self.newest[id][1]))

    def newer(self, one, other):
        return max(one, other)

    def parcel(self, event, address):
        return {"order": event["id"], "address": address, "lines": event["lines"]}


def only_what_it_takes(kind, order):
    """Each kind says what it is about, in short names."""
    told = {"what": kind, "o": order["id"], "v": order["version"]}
    if kind in ("paid", "moved"):
        told["to"] = order["address"]
    if kind == "paid":
        told["lines"] = [[line["article"], line["count"]] for line in order["lines"]]
    return told


class ByKind:
    """A method for each kind; an order is a small state of its own."""

    def __init__(self, ask, send):
        self.send, self.known = send, {}

    def hear(self, event):
        getattr(self, "on_" + event["what"], lambda event: None)(event)

    def on_moved(self, event):
        state = self.known.setdefault(event["o"], {"v": 0, "to": None, "sent": False})
        if event["v"] > state["v"]:
            state.update(v=event["v"], to=event["to"])
        return state

    def on_paid(self, event):
        state = self.on_moved(event)
        if not state["sent"]:
            lines = [{"article": article, "count": count} for article, count in event["lines"]]
            state["sent"] = True
            self.send({"lines": lines, "address": state["to"], "order": event["o"]})


def as_a_letter(kind, order):
    """CloudEvents' way: an envelope, and the data in it."""
    data = {"address": order["address"], "lines": order["lines"]}
    return {"type": kind, "subject": order["id"], "id": f"{order['id']}/{order['version']}", "data": data}


def by_log(ask, send):
    """A closure that keeps all events of an order, and looks through them."""
    heard, sent = [], []

    class Log:
        def hear(self, event):
            if event["type"] not in {"paid", "moved"}:
                return
            heard.append(event)
            mine = [one for one in heard if one["subject"] == event["subject"]]
            newest = sorted(mine, key=lambda one: int(one["id"].split("/")[1]))[-1]
            if event["type"] == "paid" and event["subject"] not in sent:
                sent.append(event["subject"])
                data = event["data"] | {"address": newest["data"]["address"]}
                send({"order": event["subject"], **data})

    return Log()


# -- what goes wrong ----------------------------------------------------------------------------------


def with_more(*names):
    return lambda kind, order: event(kind, order) | {name: order[name] for name in names}


def to_others(kind, order):
    """All of it to those who are not in the warehouse."""
    return event(kind, order) if kind in ("paid", "moved") else {"kind": kind, **order, "history": []}


def thin(kind, order):
    return {"kind": kind, "id": order["id"], "version": order["version"]}


class Asks(Shipping):
    """Thin events: shipping asks for the rest."""

    def hear(self, event):
        super().hear(self.ask(event["id"]) | event)


class AsksToBeSure(Shipping):
    def hear(self, event):
        with suppress(OSError):
            event |= {"address": self.ask(event["id"])["address"]}
        super().hear(event)


class Moved(Shipping):
    """Sends when it hears of an address."""

    def hear(self, event):
        super().hear(event | {"kind": {"moved": "paid", "paid": "moved"}.get(event["kind"], event["kind"])})


class NoLines(Shipping):
    def parcel(self, event, address):
        return {"order": event["id"], "address": address}


class SendsAgain(Shipping):
    def hear(self, event):
        self.gone.clear()
        super().hear(event)


class RemembersTheLast(Shipping):
    """One event twice in a row is noticed; the same order later is not."""

    def hear(self, event):
        self.gone &= {event["id"]}
        super().hear(event)


class OncePerVersion(Shipping):
    """Another version is another event."""

    def hear(self, event):
        if (event["id"], event["version"]) not in self.gone:
            self.gone.discard(event["id"])
        super().hear(event)
        if event["kind"] == "paid":
            self.gone.add((event["id"], event["version"]))


class Forwards(Shipping):
    """A parcel that has gone is sent after the customer who moved."""

    def hear(self, event):
        again = event["kind"] == "moved" and event["id"] in self.gone
        super().hear(event)
        if again:
            self.send(self.parcel(event, event["address"]))


class AsItWas(Shipping):
    """The address of the event itself, however old."""

    def hear(self, event):
        if event["kind"] == "paid":
            self.newest.pop(event["id"], None)
        super().hear(event)


class AlwaysWhoMoved(Shipping):
    """The address of a "moved" event, also when the "paid" one is newer."""

    def hear(self, event):
        version = event["version"] + 1000 * (event["kind"] == "moved")
        super().hear(event | {"version": version})


class ByText(Shipping):
    """12 comes before 9."""

    def hear(self, event):
        super().hear(event | {"version": str(event["version"])})


class FirstMoveWins(Shipping):
    def hear(self, event):
        if event["kind"] == "moved":
            event = event | {"version": -event["version"]}
        if event["id"] in self.newest and event["kind"] == "paid":
            event = event | {"version": -1000}
        super().hear(event)


class LastWins(Shipping):
    """What came last is the newest, if it was no "paid"."""

    def hear(self, event):
        if event["kind"] == "moved":
            self.newest.pop(event["id"], None)
        super().hear(event)


class AnyKind(Shipping):
    """Whatever is not "moved" is "paid"."""

    def hear(self, event):
        super().hear(event | {"kind": "moved" if event["kind"] == "moved" else "paid"})


class BeginsLikePaid(Shipping):
    def hear(self, event):
        super().hear(event | {"kind": "paid" if event["kind"].lower().startswith("paid") else event["kind"]})


class LearnsFromAll(Shipping):
    """An address is an address, and this one is the last."""

    def hear(self, event):
        if event["kind"] not in ("paid", "moved"):
            self.newest[event["id"]] = event["version"], event["address"]
        super().hear(event)


class AsksAboutOthers(Shipping):
    """What does that mean?"""

    def hear(self, event):
        if event["kind"] not in ("paid", "moved"):
            with suppress(OSError):
                self.ask(event["id"])
        super().hear(event)


class AsksAgain(Shipping):
    """When it seems to have been there before."""

    def hear(self, event):
        if event["id"] in self.gone:
            with suppress(OSError):
                self.ask(event["id"])
        super().hear(event)


class KnownKinds(Shipping):
    def hear(self, event):
        {"paid": super().hear, "moved": super().hear}[event["kind"]](event)


RIGHT = {
    "four entries": (event, Shipping),
    "what each kind is about": (only_what_it_takes, ByKind),
    "a letter and a log": (as_a_letter, by_log),
}
WRONG = {
    "lines in a set": ((lambda kind, order: event(kind, order) | {"lines": {"mug"}}, Shipping), {"wrong-type"}),
    "a list": ((lambda kind, order: [kind, order["id"]], Shipping), {"wrong-type"}),
    "sends at the wrong event": ((event, Moved), {"not-sent"}),
    "a parcel without lines": ((event, NoLines), {"not-sent"}),
    "thin": ((thin, Asks), {"outage"}),
    "asks to be sure": ((event, AsksToBeSure), {"asks-orders"}),
    "asks about others": ((event, AsksAboutOthers), {"asks-orders"}),
    "asks again": ((event, AsksAgain), {"asks-orders"}),
    "the whole order": ((lambda kind, order: {"kind": kind, **order}, Shipping), {"too-large"}),
    "with its history": ((with_more("history"), Shipping), {"too-large"}),
    "with the card": ((with_more("card"), Shipping), {"private"}),
    "with the card's number": ((lambda *of: event(*of) | {"n": of[1]["card"].replace(" ", "")}, Shipping), {"private"}),
    "with the card for others": ((to_others, Shipping), {"private"}),
    "with a loud mail": ((lambda *of: event(*of) | {"to": of[1]["email"].upper()}, Shipping), {"private"}),
    "with the address of the mail": ((with_more("email"), Shipping), {"private"}),
    "sends again": ((event, SendsAgain), {"twice"}),
    "remembers the last": ((event, RemembersTheLast), {"twice"}),
    "once a version": ((event, OncePerVersion), {"twice"}),
    "sends after": ((event, Forwards), {"twice"}),
    "the address as it was": ((event, AsItWas), {"moved"}),
    "who moved is right": ((event, AlwaysWhoMoved), {"moved"}),
    "who moved first": ((event, FirstMoveWins), {"moved"}),
    "versions as text": ((event, ByText), {"moved"}),
    "the last wins": ((event, LastWins), {"older-wins"}),
    "any kind": ((event, AnyKind), {"other-kind"}),
    "begins like paid": ((event, BeginsLikePaid), {"other-kind"}),
    "learns from all": ((event, LearnsFromAll), {"other-kind"}),
    "two kinds only": ((event, KnownKinds), {"other-kind"}),
}
