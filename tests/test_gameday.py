"""The game day: what each fault costs, what each card saves, and that a real round is the simulated one."""

import _thread
import itertools
import threading

import pytest

from servicelab import lifecycle
from servicelab.gameday import code, shop
from servicelab.gameday.cards import CARDS, POINTS, buy, points
from servicelab.gameday.incidents import INCIDENTS, LEVERS, ROUNDS, SWITCHES, Fate, hidden, ill, plan
from servicelab.gameday.ledger import PRICES, Ledger, signals
from servicelab.gameday.player import Note, Play, best_cards, bonus, cost, expected_loss, perfect, play
from servicelab.gameday.shop import Round
from servicelab.gameday.simulated import simulate
from servicelab.views.demos.game_day import GameDay
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("nothing_is_left")
NONE = frozenset()
GOOD = "paid once, shipped once"
NOTHING = lambda plan, cards: Play()  # noqa: E731


def loss(key, cards=NONE, script=(), orders=1200):
    return 10 * orders - simulate(ill(key, orders=orders), frozenset(cards), script).money


# -- the ledger ---------------------------------------------------------------------------------

#: What an order that is met brings into the ledger, all of it and nothing else.
LEAVES = {
    "slow": {"charged once too often", "paid, no parcel", "refused", "page over 1 s"},
    "killed": {"paid, no parcel", "refused"},
    "lost": {"charged once too often", "paid, no parcel", "refused", "page over 1 s"},
    "canary": {"charged once too often", "paid, no parcel", "refused"},
    "route": {"parcel, not paid"},
    "clock": {"refused"},
    "far": {"page over 1 s"},
    "shard": {"page over 1 s"},
    "dark": {"refused"},
    "storm": {"charged once too often", "paid, no parcel", "refused", "page over 1 s"},
}


@pytest.mark.parametrize("key", INCIDENTS)
def test_an_incident_leaves_in_the_ledger_what_it_says_and_costs_what_the_formula_says(key):
    round_ = ill(key)
    ledger = simulate(round_, NONE)
    assert {what for what, count in ledger.counts().items() if count} == LEAVES[key] | {GOOD}
    begin, met = round_.begins[key], ledger.counts(round_.begins[key])
    assert ledger.counts()[GOOD] - met[GOOD] == begin  # before it begins all is well
    assert 12000 - ledger.money == pytest.approx(expected_loss(round_, NONE, NOTHING), rel=0.2)


def test_a_day_on_which_nothing_happens_costs_nothing():
    assert simulate(ill(), NONE).money == 12000 == simulate(ill(), frozenset(CARDS)).money


@pytest.mark.parametrize("key", INCIDENTS)
def test_the_cure_ends_it_and_the_other_levers_that_mend_do_not(key):
    cards, at = {"region"} if INCIDENTS[key].cure == "drain region" else NONE, 200
    cost = {lever: loss(key, cards, [(at, lever)], 600) for lever in LEVERS if lever not in SWITCHES}
    cured = loss(key, cards, [(at, INCIDENTS[key].cure)], 600)
    assert cured < 0.8 * loss(key, cards, orders=600) + 110
    assert all(cured < other for lever, other in cost.items() if lever != INCIDENTS[key].cure)


def test_a_ledger_counts_what_has_a_price_and_believes_nobody():
    books = Ledger()
    books.charged, books.shipped = [0, 1, 1, 1, 2, 5], [0, 1, 3, 5]
    books.answers = [(n, n < 4, 1.1 if n == 4 else 0.1) for n in range(6)]
    counted = dict(zip(PRICES, (2, 2, 1, 1, 2, 1)))
    assert books.counts() == counted
    books.charged.append(6)  # under way: its page has not been answered
    assert books.counts() == counted
    assert books.money == sum(PRICES[what] * count for what, count in counted.items()) == 20 - 50 - 25 - 15 - 2 - 5


def test_switches_go_on_and_off_and_shedding_refuses_every_other_order():
    ledger = simulate(ill(), NONE, [(100, "shed"), (300, "shed"), (600, "close"), (700, "close")])
    assert ledger.counts()["refused"] == 100 + 100
    in_turn = Fate(ill(), NONE)
    assert [in_turn.pull(lever) for lever in ("restart", "rotate")] == [
        "restart: closed for 20 orders.",
        "rotate: closed for 40 orders.",
    ]
    with pytest.raises(ValueError, match="'reboot' is no lever: pull one of close, "):
        Fate(ill(), NONE).pull("reboot")


# -- cards --------------------------------------------------------------------------------------


@pytest.mark.parametrize("card, key", [(card, key) for key, one in INCIDENTS.items() for card in one.helped | one.ends])
def test_a_card_helps_against_what_it_says(card, key):
    with_it = 12000 - simulate(ill(key), frozenset({card})).money
    assert with_it < 0.45 * loss(key)
    assert with_it == pytest.approx(expected_loss(ill(key), {card}, NOTHING), rel=0.6, abs=900)


@pytest.mark.parametrize(
    "cards, key", [(("alert",), "route"), (("traces",), "route"), (("region",), "far"), (("region",), "lost")]
)
def test_cards_that_change_nothing_by_themselves_let_a_player_act(cards, key):
    assert loss(key, cards) == loss(key)
    assert play(ill(key), frozenset(cards)) > play(ill(key), NONE)


def test_cards_are_bought_for_ten_points_at_the_most():
    assert points(buy("region", "keys", "outbox", "budget", "canary")) == POINTS
    with pytest.raises(ValueError, match="cost 12 points of 10: leave one out"):
        buy("region", "keys", "outbox", "queue", "traces")
    with pytest.raises(ValueError, match="'luck' is no card: choose from keys, "):
        buy("luck")


def test_instruments_that_were_not_bought_show_nothing_and_none_does_in_the_dark():
    for key, card, seen in (
        ("lost", "traces", "payment"),
        ("clock", "certificates", "refused"),
        ("far", "region", "150"),
    ):
        fate, cards = Fate(ill(key), frozenset({card})), frozenset({card})
        fate.sent = 1000
        assert list(signals(simulate(ill(key), cards), fate)) == ["", card]
        assert seen in signals(simulate(ill(key), cards), fate)[card]
    assert len(signals(Ledger(), Fate(ill(), frozenset(CARDS)))) == 1 + len(CARDS)  # before the first order
    fate = Fate(ill("dark"), frozenset(CARDS))
    fate.sent = 1000
    assert signals(simulate(ill("dark"), frozenset(CARDS)), fate) == {"": "no data"}


# -- players ------------------------------------------------------------------------------------


def pulls(lever, after):
    """A player who pulls one lever, so many orders after the fault's begin, and files the right note then."""

    def player(plan, cards):
        (key, begin), *_ = plan.begins.items()
        return Play(((begin + after, lever),), Note(key, INCIDENTS[key].service, begin + after))

    return player


@pytest.mark.parametrize("key", INCIDENTS)
@pytest.mark.parametrize(
    "cards", [NONE, frozenset({"region", "keys", "queue", "alert", "traces"})], ids=("none", "some")
)
def test_no_other_script_that_knows_no_sooner_earns_more_than_the_perfect_player(key, cards):
    round_ = ill(key, orders=600)
    best, (at, *_) = play(round_, cards), [perfect(round_, cards).note.at - round_.begins[key]]
    others = {lever: play(round_, cards, pulls(lever, at)) for lever in LEVERS} | {
        "nothing": play(round_, cards, NOTHING)
    }
    others["late"] = play(round_, cards, pulls(INCIDENTS[key].cure, at + 60))
    assert max(others.values()) <= best + 120, others  # 2%: the luck of who was met


@pytest.mark.parametrize(
    "levers",
    [[lever for lever in LEVERS if lever not in SWITCHES], ["shed"], ["restart"]],
    ids=("all", "shed", "restart"),
)
def test_whoever_pulls_without_looking_earns_less_than_whoever_looks(levers):
    cards, blind = (
        buy("region", "keys", "alert", "traces"),
        lambda plan, cards: Play(tuple((n, lever) for n in range(10, plan.orders, 100) for lever in levers)),
    )
    looks, pulls_all = (sum(play(plan(7, n, 600), cards, player) for n in (1, 2, 3, 4)) for player in (perfect, blind))
    assert pulls_all < 0.85 * looks


def test_no_hand_is_near_the_best_in_every_game():
    games = [best_cards(seed, orders=240) for seed in (1, 2, 5)]
    near = [{hand for money, hand in game if money >= 0.95 * game[0][0]} for game in games]
    assert all(near) and set.intersection(*near) == set()


def test_a_note_is_worth_what_it_says():
    round_ = ill("dark")
    begin = round_.begins["dark"]
    assert bonus(round_, Note("dark", "registry", begin)) == 300
    assert bonus(round_, Note("dark", "registry", begin + 600)) == 150
    assert bonus(round_, Note("dark", "payment", begin)) == bonus(round_, Note("slow", "payment", begin)) == -100
    assert bonus(round_, Note("dark", "registry", begin - 1)) == -100  # before it began: a guess
    assert bonus(round_, None) == 0


def test_the_cheapest_cards_beat_none_and_every_hand_can_be_bought():
    ranked = best_cards(7, orders=120)
    assert all(points(hand) <= POINTS for _, hand in ranked)
    assert [money for money, _ in ranked] == sorted((money for money, _ in ranked), reverse=True)
    money, hand = ranked[0]
    of_all_rounds = sum(play(plan(7, number, 120), hand) for number in (1, 2, 3, 4)) - cost(hand, 120)
    assert money == pytest.approx(of_all_rounds, abs=60) and money > {hand: money for money, hand in ranked}[NONE]


def test_a_seed_is_a_game_and_every_incident_comes_up():
    assert hidden(7) == hidden(7) != hidden(8)
    assert {key for seed in range(40) for round_ in hidden(seed) for key in round_} == set(INCIDENTS)
    assert [len(round_) for round_ in hidden(3)] == [1, 1, 1, 2] and ROUNDS == 4
    assert simulate(plan(3, 4), NONE).counts() == simulate(plan(3, 4), NONE).counts()
    for wrong in (lambda: plan(1, 5), lambda: hidden(-1), lambda: hidden(2**20), lambda: ill("rain")):
        with pytest.raises(ValueError):
            wrong()


# -- the code -----------------------------------------------------------------------------------


def test_a_code_tells_seed_money_and_cards():
    for seed, money, cards in (
        (0, 0, NONE),
        (2**20 - 1, -(2**19), frozenset(CARDS)),
        (7, 44112, buy("keys", "region")),
    ):
        told = code.encode(seed, money, cards)
        assert len(told.replace("-", "")) == 12 and code.decode(told.lower()) == (seed, money, cards)
    with pytest.raises(ValueError, match="seed=-1"):
        code.encode(-1, 0, NONE)


def test_a_mistyped_code_is_refused():
    told = code.encode(7, 44112, buy("keys", "region")).replace("-", "")
    wrong = {told[:at] + letter + told[at + 1 :] for at in range(12) for letter in code.ALPHABET}
    for a, b in itertools.combinations(range(12), 2):
        swapped = list(told)
        swapped[a], swapped[b] = told[b], told[a]
        wrong.add("".join(swapped))
    for one in wrong - {told}:
        with pytest.raises(ValueError, match="was mistyped"):
            code.decode(one)
    with pytest.raises(ValueError, match="'ABC' is no code"):
        code.decode("ABC")


def test_the_teacher_ranks_the_teams():
    lines = [f"team {n} {code.encode(7, money, NONE)}" for n, money in enumerate((300, 500, -100))]
    assert [name for name, _ in code.ranking("\n".join(lines))] == ["team 1", "team 0", "team 2"]
    with pytest.raises(ValueError, match=r"codes of games \[7, 8\]"):
        code.ranking("\n".join([*lines, "x " + code.encode(8, 0, NONE)]))


# -- real servers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys, cards, script",
    [
        (("route", "killed"), NONE, ((60, "roll back"),)),
        (("far", "dark"), buy("keys"), ((80, "restart"),)),
        (("lost", "shard"), buy("outbox", "queue", "breaker", "budget"), ((70, "shed"),)),
    ],
    ids=("route and killed", "far and dark", "lost and shard"),
)
def test_a_real_round_earns_what_the_simulated_one_does_and_leaves_nothing(keys, cards, script):
    round_ = ill(*keys, orders=100)
    real, simulated = Round(round_, cards, script).start().wait(), simulate(round_, cards, script)
    assert list(lifecycle.running().rows) == [] and not real.is_running
    assert tuple(real.fate.log) == script
    assert real.is_scored == (real.stood_still < shop.STOOD_STILL)
    if real.is_scored:  # else the machine stood still, and the round says so
        assert abs(real.ledger.money - simulated.money) <= 0.15 * 10 * 100


def test_a_round_that_is_interrupted_or_replaced_ends():
    first = Round(ill("clock"), NONE).start()
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        first.wait()
    assert not first.is_running and not first.is_scored
    second = Round(ill("clock"), NONE).start()
    third = Round(ill("clock"), NONE).start()
    assert third.is_running and not second.is_running
    assert lifecycle.stop_all() and not third.is_running


# -- the panel ----------------------------------------------------------------------------------


@pytest.fixture
def panel():
    panel = GameDay(seed=7, orders=20, rate=40)
    yield panel
    panel.close()


def over(panel):
    wait_until(lambda: not panel.is_open, 30)
    panel.rounds[-1][0].stood_still = 0.0  # whatever the machine does


def test_a_game_from_the_cards_to_the_code(panel):
    panel.buy("keys", "alert")
    assert "5 of 10 points" in panel.alt
    for number in range(ROUNDS):
        panel.begin()
        with pytest.raises(ValueError, match=f"round {number + 1} is under way"):
            panel.begin()
        panel.pull("shed")
        panel.redraw()
        assert "On: shed." in panel.alt or "is over" in panel.alt
        panel.file(*((key := hidden(7)[number][0]), INCIDENTS[key].service))
        with pytest.raises(ValueError, match="a round has one note"):
            panel.file("slow", "payment")
        over(panel)
        panel.redraw()
    assert code.decode(panel.code) == (7, panel.money, buy("keys", "alert")) and panel.code in panel.alt
    for late in (panel.begin, lambda: panel.buy("budget"), lambda: panel.pull("shed")):
        with pytest.raises(ValueError):
            late()
    panel.reset()
    assert panel.rounds == [] and panel.code is None and "0 of 10 points" in panel.alt


def test_a_round_on_a_machine_that_stood_still_is_played_again_and_closing_ends_it(panel):
    panel.begin()
    over(panel)
    panel.rounds[0][0].stood_still = 2.0
    panel.redraw()
    assert "Not scored" in panel.alt
    panel.begin()
    ((again, _),) = panel.rounds
    assert again.is_running
    panel.close()
    assert not again.is_running and list(lifecycle.running().rows) == []
