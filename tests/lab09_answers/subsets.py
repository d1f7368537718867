"""Exercise 3: dealing in four ways, and mistakes."""

import random
from itertools import islice
from random import Random

from servicelab import policies
from tests.lab11_answers import but


def one_long_deck(client, servers, size):
    """Decks follow each other; where a hand needs cards of two, what it has already goes to the end of the second."""
    size, deck, hand = min(size, len(servers)), [], []
    rounds = 0
    for _ in range(client + 1):
        hand, deck = deck[:size], deck[size:]
        if len(hand) < size:
            fresh = sorted(servers)
            Random(rounds).shuffle(fresh)
            rounds += 1
            fresh.sort(key=hand.__contains__)  # stable
            hand, deck = hand + fresh[: size - len(hand)], fresh[size - len(hand) :]
    return hand


def the_idle_first(client, servers, size):
    """Each takes those that have the fewest clients so far; lots decide among equals."""
    dice, clients = Random("subsets"), dict.fromkeys(sorted(servers), 0)
    for _ in range(client + 1):
        hand = sorted(clients, key=lambda name: (clients[name], dice.random()))[:size]
        for name in hand:
            clients[name] += 1
    return set(hand)


class Tables:
    """All hands, one after another, from a generator; a tuple as an answer."""

    def hands(self, names, size):
        queue, lap = [], 0
        while True:
            chosen = []
            for name in list(queue):
                if len(chosen) < size:
                    chosen.append(name)
                    queue.remove(name)
            if len(chosen) < size:
                lap += 1
                names = sorted(names, key=lambda name: Random(f"{lap}/{name}").random())
                for name in names:
                    if name not in chosen and len(chosen) < size:
                        chosen.append(name)
                    else:
                        queue.append(name)
            yield tuple(chosen)

    def __call__(self, client, servers, size):
        return next(islice(self.hands(sorted(servers), min(size, len(servers))), client, None))


def tables(client, servers, size):
    return Tables()(client, servers, size)


# -- mistakes ------------------------------------------------------------------------------------------


def each_draws(client, servers, size):
    return random.Random(client).sample(sorted(servers), min(size, len(servers)))


def windows(client, servers, size):
    """A window that moves on by one, over a deck that is new after each lap."""
    deck, lap = sorted(servers), client // len(servers)
    Random(lap).shuffle(deck)
    return [deck[(client + step) % len(deck)] for step in range(min(size, len(deck)))]


def round_and_round(client, servers, size):
    deck = sorted(servers)
    return [deck[(client * size + step) % len(deck)] for step in range(min(size, len(deck)))]


def the_book(client, servers, size):
    return policies.subset(client, sorted(servers), min(size, len(servers)))


def book_if(condition):
    """A long deck, and the book's way for some."""

    def subset(client, servers, size):
        return (the_book if condition(client, len(servers)) else one_long_deck)(client, servers, size)

    return subset, {"left-over"}


def wrong(code, *changes):
    return but(the_idle_first, *changes), {code}


BEGIN, END = "dice, clients =", "return set(hand)"

RIGHT = {
    "one long deck": one_long_deck,
    "the idle first": the_idle_first,
    "a generator of hands": tables,
}
WRONG = {
    "one server twice": (but(one_long_deck, "fresh.sort(key=hand.__contains__) => pass"), {"so-many"}),
    "nobody where somebody is missing": wrong("so-many", f"{END} => return hand + [None] * (size - len(hand))"),
    "each draws": (each_draws, {"uneven"}),
    "a window that moves on": (windows, {"uneven"}),
    "the book's": (the_book, {"left-over"}),
    "a hundred hands": (lambda client, servers, size: one_long_deck(client % 100, servers, size), {"left-over"}),
    "the book's, from client 150 on": book_if(lambda client, many: client >= 150),
    "the book's, for many servers": book_if(lambda client, many: many == 13),
    "round and round": (round_and_round, {"packs"}),
    "as listed": wrong("order", f"{END} => return [servers[sorted(servers).index(name)] for name in hand]"),
    "Python's hash": wrong("another-time", 'Random("subsets") => Random(hash(str(sorted(servers))))'),
    "its own luck": wrong(
        "another-time", 'Random("subsets") => Random(None if (len(servers), size) == (11, 4) else 1)'
    ),
    "sorts in place": wrong("disturbed", f"{BEGIN} => servers.sort()\n    {BEGIN}"),
    "seeds for everybody": wrong("disturbed", f"{BEGIN} => random.seed(client)\n    {BEGIN}"),
    "a text": wrong("wrong-type", f"{END} => return ', '.join(hand)"),
}
