"""JupyterLab in a headless Chromium: the chapters and labs as a learner sees and uses them.

Each notebook is opened once, run once through in a fresh kernel, and then used. A lab reports on what nobody has solved
yet; its solution runs in a bare kernel only (tests/test_notebooks.py). Screenshots of every screenful are left in
``artefacts/``, for a person to look at.
"""

import contextlib

import pytest

from tests.accessibility import violations
from tests.browser import Browser, Lab
from tests.conftest import ROOT, require
from tests.sharing import PAGES, name_of
from tools.lab import START_PAGE

ARTEFACTS = ROOT / "artefacts"
# What axe-core calls the rules that every picture has a text, and everything to touch and every column a name.
AXE_RULES = ["image-alt", "input-image-alt", "object-alt", "role-img-alt", "svg-img-alt", "aria-input-field-name",
             "label", "select-name", "button-name", "link-name", "empty-table-header"]  # fmt: skip

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def browser():
    require("chromium")
    with Lab() as lab, Browser(lab, height=1000) as browser:
        yield browser


@pytest.fixture(scope="module", params=PAGES, ids=name_of)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def ran(browser, path):
    """The notebook open in the browser, all its cells run, and the seconds that took."""
    notebook = browser.open(path.relative_to(ROOT).as_posix())
    try:
        yield notebook, notebook.run_all(limit=400)
    finally:
        notebook.close()


def test_there_are_notebooks_to_open():
    assert ROOT / START_PAGE in PAGES


def test_it_runs_and_everything_has_a_text(ran, axe, path, report_figure):
    notebook, seconds = ran
    shots = notebook.screens(ARTEFACTS / path.parent.name / path.stem)
    report_figure(f"{name_of(path)} in Chromium: {seconds:.1f} s, {len(shots)} screenshots in artefacts/")
    assert notebook.errors() == []
    assert notebook.warnings() == []
    assert all(cell["count"] for cell in notebook.cells() if cell["type"] == "code" and cell["source"].strip())
    assert violations(notebook.page, axe, ".jp-OutputArea", AXE_RULES) == []
    assert notebook.images_without_text() == []


def test_axe_finds_a_picture_without_text(axe, ran):
    notebook, _ = ran
    notebook.page.evaluate(
        """() => { const e = document.createElement('img');
                   e.id = 'blind';
                   e.src = 'data:image/png;base64,iVBORw0KGgo=';
                   document.querySelector('.jp-NotebookPanel .jp-OutputArea').append(e); }"""
    )
    found = violations(notebook.page, axe, ".jp-OutputArea", AXE_RULES)
    notebook.page.evaluate("() => document.getElementById('blind').remove()")
    assert len(found) == 1 and found[0].startswith("image-alt")


def controls(notebook, selector: str):
    """The cells whose output holds something that matches ``selector``."""
    cells = notebook.page.locator(".jp-Notebook .jp-Cell").filter(has=notebook.page.locator(selector))
    return [cells.nth(index) for index in range(cells.count())]


#: What a panel is set with; the game day has cards to tick, and no slider.
SETTINGS = ".noUi-handle, .widget-checkbox input"


def move_first_control(notebook, cell, limit: float) -> float:
    """Press a key on the cell's first slider, or first box to tick; the seconds until the picture changed."""
    first = cell.locator(SETTINGS).first
    first.focus()
    if first.get_attribute("type") == "checkbox":
        return notebook.press_and_wait(cell, "Space", limit)
    at_end = first.get_attribute("aria-valuenow") == first.get_attribute("aria-valuemax")
    return notebook.press_and_wait(cell, "ArrowLeft" if at_end else "ArrowRight", limit)


def test_every_panel_moves_its_picture_by_keyboard(ran, path, report_figure):
    notebook, _ = ran
    panels = [cell for cell in controls(notebook, SETTINGS) if notebook.picture(cell)]
    if not panels:
        assert path.parent.name == "labs", "a chapter has a panel whose picture moves"
        pytest.skip("no panel beside a picture")
    for cell in panels:
        cell.scroll_into_view_if_needed()
        try:
            took = move_first_control(notebook, cell, limit=3)
        except AssertionError:  # it drives servers that the notebook's last cell has stopped: start them again
            notebook.run_to(cell)
            took = move_first_control(notebook, cell, limit=10)
        report_figure(f"{path.stem} in Chromium: a key on a control changed the picture after {took * 1e3:.0f} ms")
    assert notebook.errors() == []


def test_the_demo_has_buttons_that_change_the_picture(ran, path):
    notebook, _ = ran
    panels = [cell for cell in controls(notebook, ".jupyter-button") if notebook.picture(cell)]
    panels = [cell for cell in panels if cell.locator(".noUi-handle").count()]
    if not panels:
        pytest.skip("no demo panel in this notebook")
    for cell in panels:
        cell.scroll_into_view_if_needed()
        changed = 0
        buttons = cell.locator(".jupyter-button:not([disabled])")
        for index in range(buttons.count()):
            buttons.nth(index).focus()
            # A button may change nothing that is drawn: a pause, or a reset of what is at its start.
            with contextlib.suppress(AssertionError):
                notebook.press_and_wait(cell, "Enter", limit=3)  # full keyboard use
                changed += 1
        assert changed, "no button changed the picture"
    assert notebook.errors() == []


def test_a_prediction_can_be_answered(ran, path):
    notebook, _ = ran
    asked = [cell for cell in controls(notebook, ".jupyter-button") if cell.get_by_text("Commit", exact=True).count()]
    if not asked:
        assert path.parent.name == "labs", "a chapter asks for predictions"
        pytest.skip("no prediction in this notebook")
    cell = asked[0]
    cell.scroll_into_view_if_needed()
    cell.get_by_text("Commit", exact=True).click()
    cell.get_by_text("Choose first").wait_for()  # an empty answer is not taken
    if cell.locator("input[type=radio]").count():
        cell.locator("input[type=radio]").first.check()
    else:
        cell.locator("input[type=text]").first.fill("1")
        notebook.page.keyboard.press("Tab")
    cell.get_by_text("Commit", exact=True).click()
    cell.get_by_text("Kept:").wait_for()
    assert cell.locator(".jupyter-button").first.is_disabled()


def test_a_quiz_question_answers_back(ran, path):
    notebook, _ = ran
    quizzes = [cell for cell in controls(notebook, "input[type=radio]") if cell.get_by_text("at the first try").count()]
    if not quizzes:
        assert path.stem[:2] == "00" or path.parent.name == "labs", "a chapter ends with a quiz"
        pytest.skip("no quiz in this notebook")
    cell = quizzes[-1]
    cell.scroll_into_view_if_needed()
    options = cell.locator(".widget-radio-box").first.locator("input[type=radio]")
    said = []
    for index in range(options.count()):
        options.nth(index).check()
        notebook.page.wait_for_timeout(500)
        said.append(cell.locator("[role=status]").first.inner_text())
    assert sum(text.startswith("✓") for text in said) >= 1, said
    assert sum(text.startswith("✗") for text in said) >= 1, said
    assert len(set(said)) >= 2


def test_binder_opens_on_the_start_page(browser):
    with Lab(workspace=ROOT / "binder" / "workspace.json") as lab:
        notebook = browser.visit("lab", lab)
        assert notebook.name == START_PAGE
        notebook.close()


def test_the_page_of_chapter_06_shows_its_feed_while_it_grows(browser):
    """The web page that chapter 06 serves itself: states come into it, and nobody reloads it."""
    notebook = browser.open("notebooks/06-streaming.ipynb")
    try:
        notebook.run_to(notebook.cell("w-page-publish"))
        page = notebook.page.frame_locator("iframe[title^='Order 17']")
        lines = page.locator("li")
        lines.nth(6).wait_for()  # six of the courier, and one of ours among them
        assert lines.evaluate_all("lines => lines.map(line => line.value)") == list(range(1, 8))
        assert {"paid", "waiting", "your own word here"} < set(lines.all_inner_texts())
        assert page.get_by_role("status").inner_text() == "connected; the page asks nothing"
        # The cell is run again, as the text above it invites to: one line more in the page that is open.
        notebook.page.evaluate("() => jupyterapp.commands.execute('notebook:run-cell')")
        lines.nth(7).wait_for()
        assert lines.nth(7).inner_text() == "your own word here"
        assert notebook.errors() == []
    finally:
        notebook.close()
