"""What is particular to lab 13. Its catalogue is tested in test_labs."""

import json
import re
from math import inf

import pytest

from servicelab.checks import lab13
from servicelab.checks.lab13.lives import ASKS, CHECKED, OUT
from tests.conftest import ROOT
from tests.lab13_answers import lives

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.mark.parametrize("name", CHECKED)
def test_what_the_auth_server_is_asked_is_what_the_formula_says(name):
    shop, pair = CHECKED[name], (9000, 55)
    tokens = shop.callers / (8999 + 1 / shop.rate / shop.services)
    told = shop.callers * shop.services / (55 + 1 / shop.rate)
    assert lab13.asked(shop, *pair) == pytest.approx((tokens, told), rel=0.05)
    assert lab13.asked(shop, 50, None)[0] == pytest.approx(
        shop.callers / (49 + 1 / shop.rate / shop.services), rel=0.03
    )


@pytest.mark.parametrize("name", CHECKED)
def test_a_shop_for_which_there_is_no_pair_is_far_from_one(name):
    shop = CHECKED[name]
    life, kept = (1e5, OUT) if shop.opaque or shop.leeway > OUT else (OUT - shop.leeway, None)
    least = sum(lab13.asked(shop, life, kept))
    assert least > 1.1 * ASKS if name.startswith("too many") else least < 0.97 * ASKS
    assert lives.by_formula(shop) is None or lab13.stays_in(shop, *lives.by_formula(shop)) < OUT
    assert lab13.stays_in(shop, inf, None) == inf


@pytest.mark.parametrize("folder", ["solutions", "labs"])
def test_no_key_is_written_down(folder):
    cells = json.loads((ROOT / folder / "13-security.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    assert (
        not re.search(r"""(?i)(secret|key)\w*["']?\]?\s*[=:]\s*b?["'][^"']{6,}""", code) and lab13.PUBLISHED not in code
    )
