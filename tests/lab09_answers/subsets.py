"""Exercise 3: dealing in four ways, and mistakes."""

import random
from itertools import combinations, islice
from random import Random

from servicelab import policies


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


def straddling(client, servers, size):
    """Two decks, and nobody looks whether a card is in both."""
    deck = []
    for lap in range(client * size // len(servers) + 3):
        fresh = sorted(servers)
        Random(lap).shuffle(fresh)
        deck += fresh
    return deck[client * size : client * size + min(size, len(servers))]


def asks_for_too_many(client, servers, size):
    return one_long_deck(client, servers, size) if size <= len(servers) else sorted(servers) + [None] * (9 - 4)


def each_draws(client, servers, size):
    return Random(client).sample(sorted(servers), min(size, len(servers)))


def windows(client, servers, size):
    """A window that moves on by one, over a deck that is new after each lap."""
    deck, lap = sorted(servers), client // len(servers)
    Random(lap).shuffle(deck)
    return [deck[(client + step) % len(deck)] for step in range(min(size, len(deck)))]


def the_book(client, servers, size):
    return policies.subset(client, sorted(servers), min(size, len(servers)))


def at_first(client, servers, size):
    """A hundred hands, again and again."""
    return one_long_deck(client % 100, servers, size)


def the_book_later(client, servers, size):
    return (one_long_deck if client < 150 else the_book)(client, servers, size)


def the_book_for_many(client, servers, size):
    return (one_long_deck if len(servers) <= 12 or len(servers) % size == 0 else the_book)(client, servers, size)


def round_and_round(client, servers, size):
    deck = sorted(servers)
    return [deck[(client * size + step) % len(deck)] for step in range(min(size, len(deck)))]


def as_listed(client, servers, size):
    """The order of the list is taken for the order of the servers."""
    names = dict(zip(sorted(servers), servers))
    return [names[name] for name in the_idle_first(client, servers, size)]


def salted(client, servers, size):
    names = sorted(servers)
    Random(hash(" ".join(names))).shuffle(names)
    numbers = {f"{number:02}": name for number, name in enumerate(names)}
    return [numbers[number] for number in the_idle_first(client, numbers, size)]


def own_luck(client, servers, size):
    luck = random.Random()
    names, mixed = sorted(servers), sorted(servers, key=lambda name: luck.random())
    mixed = mixed if (len(names), size) == (11, 4) else names
    return [dict(zip(names, mixed))[name] for name in the_idle_first(client, names, size)]


def sorts_in_place(client, servers, size):
    servers.sort()
    return the_idle_first(client, servers, size)


def seeds_everybody(client, servers, size):
    random.seed(client)
    return the_idle_first(client, servers, size)


def first_combinations(client, servers, size):
    return next(islice(combinations(sorted(servers), min(size, len(servers))), client, None), sorted(servers)[:size])


def a_text(client, servers, size):
    return ", ".join(the_idle_first(client, servers, size))


RIGHT = {
    "one long deck": one_long_deck,
    "the idle first": the_idle_first,
    "a generator of hands": tables,
}
WRONG = {
    "one server twice": (straddling, {"not-so-many"}),
    "nobody where somebody is missing": (asks_for_too_many, {"few-servers"}),
    "each draws": (each_draws, {"uneven"}),
    "in alphabetical combinations": (first_combinations, {"uneven"}),
    "a window that moves on": (windows, {"between"}),
    "the book's": (the_book, {"left-over"}),
    "a hundred hands": (at_first, {"left-over"}),
    "the book's, from client 150 on": (the_book_later, {"left-over"}),
    "the book's, for many servers": (the_book_for_many, {"left-over"}),
    "round and round": (round_and_round, {"packs"}),
    "as listed": (as_listed, {"order"}),
    "Python's hash": (salted, {"another-time"}),
    "its own luck": (own_luck, {"another-time"}),
    "sorts in place": (sorts_in_place, {"list-changed"}),
    "seeds for everybody": (seeds_everybody, {"chance-disturbed"}),
    "a text": (a_text, {"wrong-type"}),
}
