"""The panel of a registry that is cut off (chapter 08)."""

import pytest

from servicelab.views.demos.partition import RULES, Partition, run

ALL, HALF = "all of the instances", "half of the instances"


@pytest.fixture
def panel():
    panel = Partition(seed=1)
    yield panel
    panel.close()


def works(cut, rule, dead=0, load=0.3):
    return run(1, cut, rule, dead, load)[2]


def test_evicting_everybody_closes_the_shop_and_the_other_rules_do_not():
    assert works(ALL, "evict what is late")[0] == 0
    for rule in list(RULES)[1:]:
        assert works(ALL, rule)[0] == 1


def test_who_keeps_everybody_keeps_the_dead():
    # Without a cut the lease finds the dead; self-preservation takes two deaths of eight for a cut.
    assert works("nobody", "evict what is late", dead=2)[1] > works("nobody", "never evict", dead=2)[1] + 0.05


def test_evicting_the_half_overloads_the_other_half():
    assert works(HALF, "evict what is late", load=0.3)[0] == 1
    assert works(HALF, "evict what is late", load=0.9)[0] < 0.8


def test_customers_who_cannot_ask_keep_what_they_knew():
    assert works("all, and the customers", "evict what is late")[0] == 1
