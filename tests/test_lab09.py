"""What is particular to lab 09. Its catalogue is tested in test_labs."""

import builtins
from random import Random

import pytest

from servicelab.checks import lab09
from servicelab.checks.lab09.days import ERROR, WORK, day
from servicelab.checks.lab09.headroom import CHECKED, likely, practice_shop, right
from servicelab.checks.lab09.ring import another_hash
from tests.lab09_answers import balancer, ring

Greedy, Two = (balancer.WRONG[which][0] for which in ("the least busy", "two choices"))
Hash, _ = ring.WRONG["Python's hash"]
pytestmark = pytest.mark.usefixtures("nothing_is_left")


def test_the_black_hole_of_exercise_1_is_the_one_of_the_chapter():
    drawn = (1 / ERROR) / (1 / ERROR + 9 / WORK)
    assert lab09.share_of_the_broken(Greedy(10, Random(1))) == pytest.approx(drawn, abs=0.05)
    assert 0.1 < lab09.share_of_the_broken(Two(10, Random(1))) <= 0.2
    assert lab09.share_of_the_broken(balancer.Out(10, Random(1))) < 0.1


def test_a_day_has_the_same_arrivals_and_the_same_work_for_everybody():
    days = [day(kind(10, Random(1)), seconds=20, load=0.5) for kind in (Two, balancer.Out, Greedy)]
    assert len({sum(one.calls) for one in days}) == 1
    assert day(Two(10, Random(1)), seconds=20, load=0.5) == days[0]


def test_hash_is_another_one_only_for_the_learners_code_and_only_for_a_while():
    usual, key = builtins.hash, "customer-1"
    names = [f"cart-{number}" for number in range(10)]
    before = Hash(names).owners(key, 10), ring.Ring(names).owners(key, 10)
    with another_hash():
        assert hash(key) != usual(key)
        assert Hash(names).owners(key, 10) != before[0] and ring.Ring(names).owners(key, 10) == before[1]
    assert builtins.hash is usual


@pytest.mark.parametrize(
    "shop", [*CHECKED, practice_shop()], ids=["even", "lucky row", "one zone", "database", "practice"]
)
def test_no_number_of_a_shop_hangs_on_a_rounding_error(shop):
    found = right(shop)
    if found["goal"]:
        short, enough = (likely(shop, found["goal"] - less, found["all up"]) for less in (1, 0))
        assert short < shop.goal - 1e-5 and enough > shop.goal + 1e-5
    else:
        assert shop.shared < shop.goal
    if found["zone"]:
        left = [number - -(-number // shop.zones) for number in (found["zone"] - 1, found["zone"])]
        assert left[0] < found["all up"] <= left[1]
