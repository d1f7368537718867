"""What a learner can touch, as a page shows it: alive in JupyterLab, and standing still where there is no kernel."""

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook

from servicelab.views.live import DPI
from tests.accessibility import violations
from tests.browser import Browser, Lab
from tests.conftest import ROOT, require
from tests.notebooks import client_for

PANEL = """
from servicelab.views.live import Choice, LivePanel, Slider, Switch

class Panel(LivePanel):
    title, question = "A panel", "Where does the dot stand?"
    controls = (Slider("load", "load (%)", 0, 10, 5), Slider("wait", "wait (s)", 0, 1, 0.5),
                Choice("kind", "kind", ("one", "two")), Switch("band", "band"))
    def draw(self, fig):
        self.dot = self.moving(fig.add_subplot(xlim=(0, 10), ylim=(0, 10)).plot([], [], "o")[0])
    def update(self, load, wait, kind, band):
        self.dot.set_data([load], [load])
        return f"The dot stands at a load of {load}%."
Panel()
"""
PREDICT = """
from servicelab.views.predict import Predict
Predict("p", "How long will it take?", ["half a second", "three seconds"])
"""
NUMBER = 'Predict("n", "How many calls?", unit="calls")'
QUIZ = """
from servicelab.views.quiz import Question, Quiz
Quiz([Question("What is 2 + 2?", {"four": True, "five": "Count again."})])
"""
RESET = """
from servicelab.views.reset import Reset
Reset()
"""
PROGRESS = """
from servicelab.checks import progress
progress.panel()
"""
COUNT = """
import gc
from ipywidgets.widgets.widget import _instances
gc.collect()
print(len(_instances), "widgets,", sum(type(one).__name__ == "FigureCanvasAgg" for one in gc.get_objects()), "drawings")
"""
TABLES = """
from IPython.display import display
from servicelab.doctor import OK, Diagnosis, Finding
from servicelab.table import Table
display(Table(["", "calls", ""], [["kept alive", 3, "good"]]))
display(Diagnosis([Finding("Python", OK, "3.11")]))
"""
SOURCES = [PANEL, PREDICT, NUMBER, QUIZ, RESET, PROGRESS]
#: What a page without a kernel says.
SEEN = [
    "A panel", "Where does the dot stand?", "load (%): 5", "How long will it take?", "half a second", "three seconds",
    "How many calls?", "What is 2 + 2?", "four", "five", "nothing is running", "Download your progress",
]  # fmt: skip


def notebook_of(sources):
    kernel = {"name": "python3", "display_name": "Python 3"}
    return new_notebook(cells=[new_code_cell(source) for source in sources], metadata={"kernelspec": kernel})


@pytest.fixture(scope="module", autouse=True)
def progress_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVICELAB_PROGRESS", str(tmp_path_factory.mktemp("progress") / "progress.json"))
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab with the notebook of this module in it, and a browser."""
    require("chromium")
    folder = tmp_path_factory.mktemp("pages")
    (folder / "notebooks").mkdir()
    nbformat.write(notebook_of([*SOURCES, TABLES, COUNT]), folder / "notebooks" / "page.ipynb")
    with Lab(folder) as lab, Browser(lab) as browser:
        yield browser


@pytest.fixture(scope="module")
def alive(lab):
    notebook = lab.open("notebooks/page.ipynb")
    notebook.run_all()
    yield notebook
    notebook.close()


def test_in_lab_only_the_live_one_is_seen(alive):
    alive.page.locator(".servicelab").nth(len(SOURCES) - 1).wait_for()
    assert alive.errors() == []
    still = alive.page.locator(".servicelab-still")
    assert still.count() == len(SOURCES)
    assert not any(still.nth(index).is_visible() for index in range(len(SOURCES)))
    assert alive.page.locator(".noUi-handle").first.is_visible()


def test_everything_that_can_be_touched_has_a_name(alive, axe):
    alive.page.locator(".noUi-handle[aria-label]").first.wait_for()
    names = alive.page.locator(".noUi-handle").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert names == ["load (%)", "wait (s)"]
    assert violations(alive.page, axe, ".jp-OutputArea") == []


def test_a_cell_that_is_run_again_closes_what_it_opened_before(alive):
    first, *later = [opened_after(alive) for _ in range(3)]
    assert later == [first, first] and first.endswith(", 1 drawings\n")


def test_so_it_does_for_a_client_that_sends_no_ids_of_cells(tmp_path):
    notebook = notebook_of([*SOURCES, COUNT])
    client = client_for(notebook, tmp_path, timeout=60)
    with client.setup_kernel():
        said = [run_all(client)[-1].text for _ in range(3)]
    assert said[1:] == said[:-1] and said[0].endswith(", 1 drawings\n")


def run_all(client) -> list:
    """Run every cell; returns the outputs of the last."""
    for index, cell in enumerate(client.nb.cells):
        client.execute_cell(cell, index)
    return cell.outputs


def opened_after(notebook) -> str:
    notebook.run_all()
    [said] = notebook.cells()[-1]["outputs"]
    return "".join(said["text"])


@pytest.fixture(scope="module")
def page(lab, tmp_path_factory):
    """The page that nbconvert makes of the notebook, in a browser that reaches no network."""
    notebook = notebook_of(SOURCES)
    client_for(notebook, tmp_path_factory.mktemp("kernel"), timeout=60).execute()
    text, _ = HTMLExporter().from_notebook_node(notebook)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(text, encoding="utf-8")
    context = lab._browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    yield page
    context.close()


def test_a_page_without_a_kernel_shows_questions_options_and_the_last_picture(page):
    (ROOT / "artefacts").mkdir(exist_ok=True)
    page.screenshot(path=ROOT / "artefacts" / "page-without-a-kernel.png", full_page=True)
    for text in SEEN:
        assert page.locator(".jp-OutputArea").get_by_text(text).first.is_visible(), text
    picture = page.get_by_alt_text("The dot stands at a load of 5%.")
    assert picture.is_visible() and picture.evaluate("one => one.naturalWidth") == 9 * DPI
