"""The twelve characters with which a team tells its score, without a network: seed, money, cards and a check."""

from typing import NamedTuple

from servicelab.gameday.cards import CARDS

#: Crockford's base 32: without the letters that are read as digits.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MOST = 2**19  # money lies from -MOST to MOST - 1, a seed from 0 to 2 * MOST - 1
PRIME = 1021  # just under 32². With a prime, one wrong character or two that were swapped are always found.


class Score(NamedTuple):
    seed: int
    money: int
    cards: frozenset


def encode(seed: int, money: int, cards) -> str:
    """Raises ValueError for a seed or a sum that finds no room."""
    if not (0 <= seed < 2 * MOST and -MOST <= money < MOST):
        raise ValueError(f"seed={seed!r}, money={money!r}: a code has room for 0 to {2 * MOST - 1}, and ±{MOST - 1}")
    bits = sum(1 << place for place, card in enumerate(CARDS) if card in cards)
    body = _letters(seed, 4) + _letters(money + MOST, 4) + _letters(bits, 2)
    return "-".join((body[:4], body[4:8], body[8:] + _letters(_check(body), 2)))


def decode(code: str) -> Score:
    """Raises ValueError for what is no code, and for one that was mistyped. 0 and O, 1 and I and L are the same."""
    plain = str(code).upper().translate(str.maketrans("OIL", "011", " -"))
    if len(plain) != 12 or set(plain) - set(ALPHABET):
        raise ValueError(f"{code!r} is no code: a code has twelve letters and digits, such as {encode(7, 0, ())}")
    if _check(plain[:10]) != _number(plain[10:]):
        raise ValueError(f"{code!r} was mistyped: its last two characters do not fit the others. Compare it once more.")
    bits = _number(plain[8:10])
    cards = frozenset(card for place, card in enumerate(CARDS) if bits >> place & 1)
    return Score(_number(plain[:4]), _number(plain[4:8]) - MOST, cards)


def _letters(number, length):
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(length)))


def _number(letters):
    return sum(ALPHABET.index(letter) << 5 * place for place, letter in enumerate(reversed(letters)))


def _check(body):
    return sum(ALPHABET.index(letter) * 33 ** (place + 1) for place, letter in enumerate(body)) % PRIME


def ranking(lines: str) -> list[tuple[str, Score]]:
    """The teams, best first, of a text with a line for each: its name, and last its code.

    Raises ValueError for a code that was mistyped, and for codes of different games.
    """
    pairs = [line.rpartition(" ")[::2] for line in lines.strip().splitlines() if line.strip()]
    scores = sorted(((name.strip() or code, decode(code)) for name, code in pairs), key=lambda one: -one[1].money)
    if len(seeds := {score.seed for _, score in scores}) > 1:
        raise ValueError(f"these are codes of games {sorted(seeds)}: all teams must have played the same one")
    return scores
