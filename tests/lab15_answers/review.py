"""Exercise 5: the post-mortem in three ways, and mistakes."""

from collections import Counter, defaultdict

FAULTS = {"double charge": (0, 25), "unpaid parcel": (0, 15), "no parcel": (1, 25), "refusals": (None, 1)}


def each_once(game):
    return list({entry.id: entry for entry in game.ledger}.values())


def no_neighbours(game):
    """It compares each line with the one before."""
    return [one for one, before in zip(game.ledger, [None, *game.ledger]) if one != before]


def offsets(game):
    return {note.who: note.shown - note.at for note in game.dashboard if note.what == "clock"}


def fault_of(done):
    """What was done to an order, by the counts of its lines."""
    if done["refused"]:
        return "refusals"
    if done["charged"] > 1:
        return "double charge"
    if done["charged"]:
        return None if done["shipped"] else "no parcel"
    return "unpaid parcel" if done["shipped"] else None


def money_of(fault, done, refunds=True):
    if fault == "double charge":
        return 25 * (done["charged"] - 1 - refunds * done["refunded"])
    return 0 if refunds and fault == "no parcel" and done["refunded"] else FAULTS[fault][1]


def harmed(game, lines=each_once, clocks=offsets, since=("placed",), fault_of=fault_of):
    """(fault, where, when it was placed, its counts) of each harmed order."""
    placed, at, done, ahead = {}, {}, defaultdict(Counter), clocks(game)
    for entry in lines(game):
        done[entry.order][entry.what] += 1
        if entry.what == "placed":
            placed[entry.order] = entry
        if entry.what in since:
            at[entry.order] = entry.at - ahead.get(entry.who, 0)
    for order, entry in placed.items():
        fault = fault_of(done[order])
        if fault:
            where = entry.who if fault == "refusals" else entry.via[FAULTS[fault][0]]
            yield fault, where, at[order], done[order]


def notes(game, what, where=None):
    return sorted(note.at for note in game.dashboard if note.what == what and where in (None, note.who))


def first_alert(game, where, begin, end):
    return min((at for at in notes(game, "alert", where) if at >= begin), default=end)


def last_lever(game, where, begin, end):
    """The one that helped: none was harmed after it."""
    return min((at for at in notes(game, "lever", where) if at >= end), default=end)


def review(game, key=lambda one: one[:2], least=5, money=money_of, detect=first_alert, helped=last_lever, **how):
    groups, found = defaultdict(list), []
    for one in harmed(game, **how):
        groups[key(one)].append(one)
    for group in groups.values():
        if len(group) >= least:
            (fault, where, *_), times = group[0], [at for _, _, at, _ in group]
            begin, end = min(times), max(times)
            lost = sum(money(fault, done) for *_, done in group)
            after = detect(game, where, begin, end) - begin, helped(game, where, begin, end) - begin
            found.append((begin, (fault, where, *after, lost)))
    return [one for _, one in sorted(found)]


class Books:
    """Deeds by their sets of ids; groups in a dict that is filled as the orders come."""

    def __init__(self, game):
        self.game, self.skew, self.deeds = game, {}, {}
        for note in game.dashboard:
            if note.what == "clock":
                self.skew[note.who] = note.at - note.shown
        for at, who, what, order, id, via in game.ledger:
            self.deeds.setdefault(order, {}).setdefault(what, {})[id] = at + self.skew[who], who, via

    def review(self):
        found = {}
        for deeds in self.deeds.values():
            ((at, who, (payment, shipping)),) = deeds["placed"].values()
            paid, shipped, back = (len(deeds.get(what, ())) for what in ("charged", "shipped", "refunded"))
            if "refused" in deeds:
                key, lost = ("refusals", who), 1
            elif paid == 0:
                key, lost = ("unpaid parcel", payment), 15
            elif not shipped:
                key, lost = ("no parcel", shipping), 25 * (paid - back)
            else:
                key, lost = ("double charge", payment), 25 * (paid - back - 1)
            if paid != 1 or shipped != 1:
                found.setdefault(key, []).append((at, lost))
        incidents = [self.incident(*key, sorted(some)) for key, some in found.items() if len(some) > 4]
        return [one[1:] for one in sorted(incidents)]

    def incident(self, fault, where, some):
        (begin, _), (end, _) = some[0], some[-1]
        mine = sorted(note for note in self.game.dashboard if note.who == where)
        alert = next(note.at for note in mine if note.what == "alert" and note.at >= begin)
        lever = next(note.at for note in mine if note.what == "lever" and note.at > end)
        return [begin, fault, where, alert - begin, lever - begin, sum(lost for _, lost in some)]


def backwards(game):
    """From the last lever back: the earliest one after which all is well."""

    def helped(game, where, begin, end):
        levers = notes(game, "lever", where)
        while len(levers) > 1 and levers[-2] >= end:
            levers.pop()
        return levers[-1]

    return [list(one) for one in review(game, helped=helped)]


def by_fault(one):
    return one[: 1 + (one[0] == "refusals")]


def any_alert(game, where, begin, end):
    return min(at for at in notes(game, "alert") if at >= begin)


def earliest_alert(game, where, begin, end):
    return notes(game, "alert", where)[0]


def first_lever(game, where, begin, end):
    return min(at for at in notes(game, "lever", where) if at >= begin)


def any_lever(game, where, begin, end):
    return min(at for at in notes(game, "lever") if at >= end)


def harmed_for_good(game):
    """Who has the money back was not harmed."""
    back = {entry.order for entry in game.ledger if entry.what == "refunded"}
    return review(game._replace(ledger=[entry for entry in game.ledger if entry.order not in back]))


def well_again(done):
    """One charge is left: nobody was harmed."""
    return None if done["charged"] > 1 == done["charged"] - done["refunded"] else fault_of(done)


def for_nothing(done):
    """What was paid back was not paid."""
    return "unpaid parcel" if done["shipped"] and done["charged"] == done["refunded"] else fault_of(done)


def twice_or_more(fault, done):
    return 25 * (1 - done["refunded"]) if fault == "double charge" else money_of(fault, done)


def changed(**how):
    return lambda game: review(game, **how)


def renamed(names, at=0):
    return lambda game: [(*one[:at], names.get(one[at], one[at]), *one[at + 1 :]) for one in review(game)]


def blames_who_took_it(game):
    """The order came from there."""
    return [(fault, where.replace("payment", "orders"), *more) for fault, where, *more in review(game)]


RIGHT = {"in groups": review, "books": lambda game: Books(game).review(), "backwards": backwards}
WRONG = {
    "names only": (lambda game: [one[0] for one in review(game)], {"not-a-review"}),
    "in minutes, as texts": (lambda game: [(*one[:4], f"{one[4]} lost") for one in review(game)], {"not-a-review"}),
    "every refusal": (changed(least=1), {"how-many"}),
    "four will do": (changed(least=4), {"how-many"}),
    "more than five": (changed(least=6), {"how-many"}),
    "charged twice is no parcel": (renamed({"unpaid parcel": "no parcel"}), {"fault"}),
    "who took it": (blames_who_took_it, {"where"}),
    "the other one": (renamed({"shipping-2": "shipping-1"}, 1), {"where"}),
    "any alert": (changed(detect=any_alert), {"detect"}),
    "the earliest alert": (changed(detect=earliest_alert), {"detect"}),
    "the first lever": (changed(helped=first_lever), {"mitigate"}),
    "any lever": (changed(helped=any_lever), {"mitigate"}),
    "a charge costs ten": (changed(money=lambda fault, done: money_of(fault, done) + 10), {"money"}),
    "thrice is twice": (changed(money=twice_or_more), {"money"}),
    "harmed for good": (harmed_for_good, {"refund"}),
    "well again": (changed(fault_of=well_again), {"refund"}),
    "for nothing": (changed(fault_of=for_nothing), {"refund"}),
    "since the refusal": (changed(since=("placed", "refused")), {"detect"}),
    "since the charge": (changed(since=("placed", "charged")), {"detect"}),
    "one clock": (changed(clocks=lambda game: {}), {"clocks"}),
    "ahead is behind": (changed(clocks=lambda game: {who: -by for who, by in offsets(game).items()}), {"clocks"}),
    "no neighbours": (changed(lines=no_neighbours), {"came-again"}),
    "no refunds": (changed(money=lambda fault, done: money_of(fault, done, False)), {"refund"}),
    "only the first": (lambda game: review(game)[:1], {"second"}),
    "one for each place": (changed(key=lambda one: one[1]), {"second"}),
    "one for each fault": (changed(key=by_fault), {"second"}),
}
