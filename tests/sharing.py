"""How `make test` shares the tests out among its workers, which are processes.

The tests of a file go to one worker, in their order; so do those of one notebook, and those of a folder of files that
share a broker. The answers in the catalogues of the labs spend their time waiting for sockets and share nothing: each
goes to whichever worker is free. What takes longest begins first, and the answers come last, so that no worker is left
with something long at the end. Of notebooks a few run at once: they compute, and the others have to wait on time.

The mark ``xdist_group`` would say the same, but pytest-xdist 3.8 overlooks it under pytest 9.2
(github.com/pytest-dev/pytest-xdist/issues/1386).
"""

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
#: By measured time; whatever is not named takes less than a quarter of a minute.
LONGEST_FIRST = (
    "test_browser", "test_notebooks", "test_counter_worlds", "amqp_functional", "test_amqp_handle", "test_make_labs",
    "test_make_lab", "test_lab03", "test_pages", "test_lab08", "test_amqp_fuzz", "test_sim_sweep", "test_memory_limit",
)  # fmt: skip
LAST = "test_labs"
BROWSERS = 2  # at once; each with a JupyterLab takes a gigabyte
NOTEBOOKS_AT_ONCE = 4  # in browsers and without


def name_of(notebook: Path) -> str:
    """``notebooks/01-synchronous-calls``: what a test of this notebook is called by."""
    return f"{notebook.parent.name}/{notebook.stem}"


def of(*folders: str) -> list[Path]:
    """The notebooks of these folders, the longest first."""
    found = [path for folder in folders for path in (ROOT / folder).glob("*.ipynb")]
    return sorted(found, key=lambda path: (-path.stat().st_size, path))


NOTEBOOKS = of("notebooks", "solutions")  # run in a bare kernel
PAGES = of("notebooks", "labs")  # opened in a browser: what a learner opens
_PLACES = {name_of(path): place for place, path in enumerate(PAGES)}


def group_of(test: str) -> str:
    """The group of a test, named as pytest names it. One worker runs all of a group."""
    path, _, function = test.partition("::")
    file, parameter = Path(path).stem, function.partition("[")[2].removesuffix("]")
    if file == "test_labs":
        return test
    if file == "test_notebooks":
        return f"{file} {parameter}"
    if file == "test_browser":
        return f"{file} {_PLACES.get(parameter, 1) % BROWSERS}"
    if Path(path).parent.name != "tests":
        return Path(path).parent.name
    return file


def order_of(path: Path) -> int:
    """The place of a test file: the longest first, then as they come, the answers of the labs last."""
    name = path.stem if path.parent.name == "tests" else path.parent.name
    if name == LAST:
        return len(LONGEST_FIRST) + 1
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)


def has_notebook(group: str) -> bool:
    return group.startswith(("test_browser ", "test_notebooks "))


class Sharing(LoadScopeScheduling):
    """pytest-xdist's scheduler with the groups above, in the order of the tests."""

    def __init__(self, config, log=None):
        config.option.loadscopereorder = False  # by the number of tests in a group, which says nothing about time
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _reschedule(self, node) -> None:
        # A worker begins with a test as soon as it knows the next one. It is told no more: what waits with one worker
        # cannot go to another that is free.
        if not self.workqueue or self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)

    def _assign_work_unit(self, node) -> None:
        work = [(group, tests) for units in self.assigned_work.values() for group, tests in units.items()]
        at_work = sum(has_notebook(group) and not all(tests.values()) for group, tests in work)
        others = [group for group in self.workqueue if not has_notebook(group)]
        if at_work >= NOTEBOOKS_AT_ONCE and others:
            self.workqueue.move_to_end(others[0], last=False)
        super()._assign_work_unit(node)
