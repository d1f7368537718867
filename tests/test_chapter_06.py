"""What of chapter 06 depends on where its reader's browser is."""

import pytest

from tests.cells import code_of, notebook_of, run

PAGE = ["w-setup", "w-page", "w-page-show", "w-page-publish"]


@pytest.mark.usefixtures("no_progress_of_mine")
@pytest.mark.parametrize("prefix", [None, "/user/ann/"])
def test_the_page_is_counted_only_where_a_browser_can_reach_it(prefix, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    if prefix is not None:
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", prefix)
    world = run(code_of(notebook_of("06")), PAGE)
    world["page_over"].set()
    world["shop_server"].stop()
    if prefix is None:
        assert world["_"] is None  # the page itself shows it
    else:
        assert [row[0] for row in world["_"].rows] == [str(number) for number in range(1, 8)]
