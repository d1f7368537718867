"""The loss-and-duplicate matrix, and the figure of a queue over time."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import simpy

from servicelab import theory
from servicelab.sim import Consumer, Draws, Outcome, Publisher, Queue, poisson, waits
from servicelab.views import theme
from servicelab.views.matrix import ACKS, CONFIRMS, FAULTS, STORAGES, Cell, Matrix, look, words
from servicelab.views.queues import DOTS, QueueRun, fluid_run, queue_figure, simulated_run
from servicelab.views.show import picture

SAFE = ("ack", "durable + persistent", "confirm")


def full(safe=(0, 18, 2), rest=(5, 15, 0)):
    matrix = Matrix(n=20)
    for cell in matrix.cells:
        matrix.put(cell, safe if cell[1:] == SAFE else rest)
    return matrix


def texts(fig):
    return [text.get_text() for text in fig.axes[0].texts]


# -- the matrix ---------------------------------------------------------------------------------


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
    matrix.put(Cell("broker restart", *SAFE), (3, 10, 7))
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


def test_it_grows_in_one_place(monkeypatch):
    shown = []

    class Handle:
        def update(self, picture):
            shown.append(picture)

    def display(picture, display_id=False):
        shown.append(picture)
        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    matrix = Matrix(n=20)
    matrix.watch()
    matrix.put(matrix.cells[0], (0, 20, 0))
    matrix.put(matrix.cells[1], (20, 0, 0))
    matrix.show()
    assert [picture.alt.split(". ")[1] for picture in shown] == [f"{n} of 16 cells run" for n in (0, 1, 2)]
    matrix.show()  # once more, below
    assert len(shown) == 4
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


# -- the queue over time ------------------------------------------------------------------------


def burst_run(seed=1):
    env, draws = simpy.Environment(), Draws(seed)
    mails = Queue(env, "mails")
    orders = Publisher(env, mails)
    for name in "ABCD":
        Consumer(env, name, mails, draws.exponential(name, 0.02))
    poisson(env, 300, orders, draws, until=2.0)
    env.run()
    return simulated_run(mails, orders.tasks), orders.tasks


def test_the_three_worlds_keep_their_styles():
    run, tasks = burst_run()
    fig = queue_figure("It drains", measured=run, simulated=run, formula=fluid_run(300, 50, 4, 2), end=2.0)
    above, below = fig.axes
    lines = {line.get_label(): line for line in above.lines}
    assert lines["measured"].get_color() == theme.BLUE and lines["measured"].get_marker() == "o"
    assert lines["simulated"].get_color() == theme.ORANGE and lines["formula"].get_linestyle() == "--"
    assert len(lines["measured"].get_xdata()) == DOTS
    assert above.get_title(loc="left") == "It drains" and below.get_ylim()[0] == 0 == above.get_ylim()[0]
    assert max(lines["simulated"].get_ydata()) == run.depth.max()
    assert "burst over" in [text.get_text() for text in above.texts]
    assert picture(fig, "The queue grows for two seconds and drains in one.").png


def test_one_world_alone_is_drawn_too():
    for world in ("measured", "simulated", "formula"):
        fig = queue_figure("One", **{world: QueueRun(np.arange(3), np.arange(3), np.arange(3), np.arange(3))})
        assert [line.get_label() for line in fig.axes[0].lines] == [world]
        plt.close(fig)


def test_the_simulated_run_is_that_of_the_queue():
    run, tasks = burst_run()
    assert run.depth[0] == 0 == run.depth[-1] and len(run.at) == len(tasks)
    assert np.array_equal(run.wait, waits(tasks))
    assert run.depth.max() == pytest.approx(
        theory.burst(300, 50, 4, 2).peak, abs=3 * theory.burst_band(2, 300, 50, 4, 2)
    )


def test_the_fluid_run_has_the_corners_of_the_burst():
    burst, run = theory.burst(300, 50, 4, 2, after=50), fluid_run(300, 50, 4, 2, after=50)
    assert run.depth.max() == burst.peak and run.wait.max() == burst.longest_wait
    assert run.time[np.argmax(run.depth)] == 2.0 and run.time[-1] > burst.drained in run.time
    assert run.at[-1] == run.time[-1] and fluid_run(300, 50, 4, 2).at[-1] == 2.0
    assert fluid_run(300, 50, 4, 2, until=10).time[-1] == 10
    assert run.band.max() > fluid_run(300, 50, 4, 2, after=50, scv=0, gaps_scv=0).band.max() == 0


def test_misuse_of_the_figure_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        queue_figure("Nothing")
    with pytest.raises(TypeError, match=r"measured=\[1\]"):
        queue_figure("Nothing", measured=[1])
    assert not plt.get_fignums()
