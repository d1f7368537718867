"""The loss-and-duplicate matrix."""

import matplotlib.pyplot as plt
import pytest

from servicelab.sim import Outcome
from servicelab.views.matrix import ACKS, CONFIRMS, FAULTS, STORAGES, Cell, Matrix, look, words

SAFE = ("ack", "durable + persistent", "confirm")


def full(safe=(0, 18, 2), rest=(5, 15, 0)):
    matrix = Matrix(n=20)
    for cell in matrix.cells:
        matrix.put(cell, safe if cell[1:] == SAFE else rest)
    return matrix


def texts(fig):
    return [text.get_text() for text in fig.axes[0].texts]


def test_there_is_a_cell_for_every_combination():
    cells = Matrix(n=20).cells
    assert len(cells) == len(set(cells)) == 16
    assert {cell.fault for cell in cells} == set(FAULTS) and {cell.ack for cell in cells} == set(ACKS)
    assert {cell.storage for cell in cells} == set(STORAGES) and {cell.confirm for cell in cells} == set(CONFIRMS)


@pytest.mark.parametrize(
    "safe, rest, finding",
    [
        ((0, 18, 2), (5, 15, 0), "Only durable + persistent, ack, confirm loses nothing, and that repeats work"),
        ((0, 20, 0), (5, 15, 0), "Only durable + persistent, ack, confirm loses nothing, and repeats nothing"),
        ((1, 19, 0), (5, 15, 0), "Each of the 8 settings loses messages"),
        ((0, 20, 0), (0, 15, 5), "8 of 8 settings lose nothing"),
    ],
)
def test_the_title_is_the_finding(safe, rest, finding):
    matrix = full(safe, rest)
    assert matrix.finding == finding and finding in matrix.alt
    fig = matrix.figure()
    assert fig._suptitle.get_text() == finding
    plt.close(fig)


def test_a_setting_is_as_good_as_under_its_worst_fault():
    matrix = full()
    matrix.put(Cell("consumer crash", *SAFE), (0, 20, 0))
    matrix.put(Cell("broker crash", *SAFE), (3, 10, 7))
    assert matrix.worst(*SAFE) == (3, 10, 7)
    assert matrix.finding == "Each of the 8 settings loses messages"


def test_every_cell_says_its_numbers_where_it_stands():
    matrix = Matrix(n=1000)
    for number, cell in enumerate(matrix.cells):
        matrix.put(cell, (number, 1000 - 3 * number, 2 * number))
    fig = matrix.figure("my title")
    ax = fig.axes[0]
    columns = [(storage, confirm) for storage in STORAGES for confirm in CONFIRMS]
    rows = [(fault, ack) for fault in FAULTS for ack in ACKS]
    said = {text.get_position(): text.get_text() for text in ax.texts}
    for cell, result in matrix.results.items():
        x, y = columns.index((cell.storage, cell.confirm)), rows.index((cell.fault, cell.ack))
        assert said[(x + 0.11, y)] == words(result)
        assert said[(x - 0.34, y)] == look(result)[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == [confirm for _, confirm in columns]
    assert [label.get_text() for label in ax.get_yticklabels()] == [ack for _, ack in rows]
    assert fig._suptitle.get_text() == "my title"
    plt.close(fig)


def test_results_are_told_apart_without_colour():
    looks = [look(result) for result in (Outcome(1, 1, 1), Outcome(0, 1, 1), Outcome(0, 1, 0), None)]
    for part in (0, 1, 2):
        assert len({one[part] for one in looks[:3]}) == 3  # mark, colour, hatching
    assert len({one[0] for one in looks}) == 4
    assert words(Outcome(3, 15, 2)) == "3 lost\n2 twice\n15 once" and words(Outcome(0, 20, 0)) == "20 once"


def test_open_cells_say_so():
    matrix = Matrix(n=20)
    matrix.put(matrix.cells[0], (0, 20, 0))
    assert matrix.finding == "1 of 16 cells run" and matrix.worst(*SAFE) is None
    fig = matrix.figure()
    assert texts(fig).count("not run yet") == 15
    plt.close(fig)
    assert len(matrix.table()) == 1 and "0 lost, 0 repeated, 20 once" in matrix.alt


def test_it_is_shown_as_it_is(capsys):
    matrix = Matrix(n=20)
    matrix.put(matrix.cells[0], (0, 20, 0))
    matrix.show()
    assert "1 of 16 cells run" in capsys.readouterr().out
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    "wrong, quoted",
    [
        (lambda m: Matrix(n=0), "n=0"),
        (lambda m: m.put(m.cells[0], (1, 1, 1)), r"\(1, 1, 1\) must be .* 20 messages"),
        (lambda m: m.put(m.cells[0], (-1, 21, 0)), r"\(-1, 21, 0\)"),
        (lambda m: m.put(("fire", "ack", "transient", "confirm"), (0, 20, 0)), "fire"),
    ],
)
def test_misuse_of_the_matrix_is_refused(wrong, quoted):
    with pytest.raises(ValueError, match=quoted):
        wrong(Matrix(n=20))
