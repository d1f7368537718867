"""What chapter 01 says and shows beside its claims: the repaired store, no Accept, dialling, the knee's numbers."""

import socket
import time

import numpy as np
import pytest

from servicelab import theory
from tests.cells import code_of, notebook_of, run
from tools.form import cells_of

pytestmark = pytest.mark.usefixtures("no_progress_of_mine")
CODE = code_of(notebook_of("01"))


def names_of(*ids):
    """The names that these cells define, after the set-up."""
    return run(CODE, ["c-setup", *ids])


def test_the_repaired_store_adds_and_removes_behind_its_gate():
    passed = []

    class Gate:
        def __enter__(self):
            passed.append("in")

        def __exit__(self, *_):
            passed.append("out")

    store = names_of("c-users-careless", "c-users-store")["Store"](Gate())
    ann = store.add({"name": "Ann", "email": "ann@shop.example"})
    store.remove(ann["id"])
    assert passed == ["in", "out"] * 2
    assert store.people == []


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        (None, 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("application/xml", 200, "application/xml"),
        ("application/pdf", 406, "text/html"),
    ],
)
def test_who_says_nothing_of_what_he_reads_takes_anything(accept, status, kind):
    polite = names_of("c-language-service", "c-language-routes")["polite"]
    answer = polite.test_client().get("/users/1", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.mimetype) == (status, kind)


def test_dial_goes_on_when_an_address_refuses():
    dial = names_of("c-cut-dial")["dial"]
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()
    with socket.create_server(("127.0.0.1", 0)) as door:
        dial([dead, door.getsockname()], time.monotonic() + 5).close()
    with pytest.raises(ConnectionRefusedError):
        dial([dead], time.monotonic() + 5)


def test_where_a_request_takes_twice_its_work():
    loads = np.linspace(0.01, 0.99, 981)
    four = theory.mmc_wait(4 * loads, 1.0, 4)
    same = np.array([theory.mg1_wait(load, 1.0, 0) for load in loads])
    assert loads[np.argmin(abs(four - 1))] == pytest.approx(0.83, abs=0.01)
    assert loads[np.argmin(abs(same - 1))] == pytest.approx(0.67, abs=0.01)
    text = next(cell["source"] for cell in cells_of(notebook_of("01")) if cell["id"] == "c-load-why")
    for share in ("83%", "67%"):
        assert share in text
