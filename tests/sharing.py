"""How `make test` shares the tests out among its workers, which are processes.

The tests of a file go to one worker, in their order, and so do those of one notebook. The answers in the catalogues of
the labs spend their time waiting for sockets and share nothing: each goes to whichever worker is free. What takes
longest begins first, so that no worker is left with it at the end.

The mark ``xdist_group`` would say the same, but pytest-xdist 3.8 overlooks it under pytest 9.2
(github.com/pytest-dev/pytest-xdist/issues/1386).
"""

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FIRST = ("test_browser", "test_notebooks", "test_labs")
BROWSERS = 2  # at once; each with a JupyterLab takes a gigabyte


def name_of(notebook: Path) -> str:
    """``notebooks/01-synchronous-calls``: what a test of this notebook is called by."""
    return f"{notebook.parent.name}/{notebook.stem}"


#: Every chapter and solution, the longest first.
NOTEBOOKS = sorted(
    [path for folder in ("notebooks", "solutions") for path in (ROOT / folder).glob("*.ipynb")],
    key=lambda path: (-path.stat().st_size, path),
)
_PLACES = {name_of(path): place for place, path in enumerate(NOTEBOOKS)}


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
    return file


def order_of(file: str) -> int:
    """The place of a test file: the longest first, then as they come."""
    return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)


class Sharing(LoadScopeScheduling):
    """pytest-xdist's scheduler with the groups above, in the order of the tests."""

    def __init__(self, config, log=None):
        config.option.loadscopereorder = False  # by the number of tests in a group, which says nothing about time
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
