"""What a chapter asks of a learner, counted, and what it costs. It reports, and never fails.

``make form``, or for some chapters only ``make form ARGS=notebooks/10-circuit-breaking.ipynb``. Per chapter, for the
main line (excursions apart): words of prose; code cells; visible lines of code (not blank, input not folded); folded
lines; words for each visible line; the longest visible cell; sections; predictions; pictures and tables; "your turn"
cells; words and lines of excursions; honest minutes and the minutes that the title states.

Honest minutes = 12 (panel, quiz, running) + words / 200 + visible lines x 4 s + predictions x 45 s + pictures and
tables x 40 s + your turn x 90 s. The rates fit five cold readings of the chapters before the lean form: 01 (105-130
minutes), 03 (134-145), 06 (150), 08 (80), 10 (100-115).

Lines of Python: of the package, what only this chapter, its lab or its check imports; of checks, its folder; of tests,
the files that carry its number.
"""

import ast
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What the form wishes: honest minutes, visible lines, words for each of them, sections, lines of a visible cell.
WISHED = "≤ 80 minutes (title ± 10%), ≤ 400 lines, ≥ 7 words a line, no cell over 20, 4-6 sections with a turn each"
WORD = re.compile(r"[A-Za-z0-9][\w'’.-]*")
ADDRESS = re.compile(r"(?<=\])\([^)]*\)|<[^>]+>")  # of links, and HTML: nobody reads them
HOURS = {"an": 60, "one and a half": 90, "two": 120}
#: Headings of level 2 that are not sections of the lesson.
FRAME = ("something goes wrong", "when to use", "what to use", "check yourself", "what you have done", "clean up")


@dataclass
class Form:
    """The counts of one chapter's main line; ``turns`` by section."""

    words: int = 0
    cells: int = 0
    lines: int = 0
    folded: int = 0
    longest: int = 0
    predictions: int = 0
    seen: int = 0
    excursions: int = 0
    stated: int | None = None
    turns: dict[str, int] = field(default_factory=dict)

    @property
    def minutes(self) -> float:
        turns = sum(self.turns.values())
        seconds = 4 * self.lines + 45 * self.predictions + 40 * self.seen + 90 * turns
        return 12 + self.words / 200 + seconds / 60

    @property
    def density(self) -> float:
        return self.words / max(1, self.lines)


def cells_of(path: Path) -> list[dict]:
    """The cells of a notebook, with ``source`` as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def is_folded(cell: dict) -> bool:
    return bool(cell["metadata"].get("jupyter", {}).get("source_hidden"))


def headings(text: str) -> list[tuple[int, str]]:
    """``(level, title)`` of each heading in a markdown cell; a comment in a block of code is none."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    return [(len(marks), title.strip()) for marks, title in re.findall(r"^(#{1,6})\s+(.+)$", text, re.M)]


def divided(cells: list[dict]):
    """``(cell, section, excursion)`` in order: the heading of level 2 above, and that of the excursion ("": none).

    An excursion is a section whose heading begins with "Excursion", with all that stands below it.
    """
    section, excursion, level_of_excursion = "", "", 0
    for cell in cells:
        for level, title in headings(cell["source"]) if cell["cell_type"] == "markdown" else ():
            if excursion and level <= level_of_excursion:
                excursion = ""
            if not excursion and title.lower().startswith("excursion"):
                excursion, level_of_excursion = title, level
            elif excursion and title.lower().startswith("excursion"):
                excursion = title
            if level == 2:
                section = title
        yield cell, section, excursion


def is_lesson(section: str) -> bool:
    """Whether a level-2 heading is one of the lesson's sections, and not of the frame that every chapter has."""
    return bool(section) and not section.lower().startswith(FRAME)


def count(path: Path) -> Form:
    """The form of the chapter in the notebook ``path``."""
    form = Form()
    for cell, section, excursion in divided(cells_of(path)):
        text = cell["source"]
        lines = sum(1 for line in text.splitlines() if line.strip())
        if cell["cell_type"] == "markdown":
            words = len(WORD.findall(ADDRESS.sub("", text)))
            if form.stated is None:
                form.stated = stated_minutes(text)
            if excursion:
                form.excursions += words
            else:
                form.words += words
                if is_lesson(section):
                    form.turns.setdefault(section, 0)
        elif excursion:
            form.excursions += lines
        else:
            form.cells += 1
            form.predictions += len(re.findall(r"\bPredict\(", text))
            form.seen += len(re.findall(r"\b(?:show|spacetime|Table|matrix)\(", text))
            if "your-turn" in tags(cell):
                form.turns[section] = form.turns.get(section, 0) + 1
            if is_folded(cell):
                form.folded += lines
            else:
                form.lines += lines
                form.longest = max(form.longest, lines)
    return form


def stated_minutes(text: str) -> int | None:
    """ "About 75 minutes" or "about two hours", as minutes."""
    found = re.search(r"(?i)\babout (\d+|an|two|one and a half) (minutes|hours?)", text)
    if not found:
        return None
    number, unit = found.groups()
    return HOURS.get(number.lower()) or int(number) * (60 if unit.startswith("hour") else 1)


# -- what it costs ----------------------------------------------------------------------------


def module_file(name: str) -> Path | None:
    """The file of the module ``servicelab.…``, or None."""
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imported(source: str) -> set[Path]:
    """The files of the package that a piece of Python imports; what does not parse (magics) imports nothing."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {file for name in names if name.startswith("servicelab") and (file := module_file(name))}


def reached(files: set[Path]) -> set[Path]:
    """``files`` and all that they import of the package, however far away."""
    found, waiting = set(), list(files)
    while waiting:
        if (file := waiting.pop()) not in found:
            found.add(file)
            waiting += imported(file.read_text(encoding="utf-8"))
    return found


def lines_of(files) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def costs() -> dict[str, tuple[int, int, int]]:
    """Number of a chapter → lines of the package that only it needs, of its check, of its tests."""
    checks = ROOT / "servicelab" / "checks"
    used = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb")):
        number = path.stem[:2]
        books = [path, *(ROOT / "solutions").glob(f"{number}-*.ipynb")]
        sources = [cell["source"] for book in books for cell in cells_of(book) if cell["cell_type"] == "code"]
        used[number] = reached({file for source in sources for file in imported(source)})
    found = {}
    for number, files in used.items():
        others = set().union(*(more for other, more in used.items() if other != number))
        check = {*checks.glob(f"lab{number}.py"), *checks.glob(f"lab{number}/**/*.py")}
        tests = {
            file
            for file in (ROOT / "tests").rglob("*.py")
            if number in re.findall(r"\d\d", str(file.relative_to(ROOT)))
        }
        found[number] = lines_of(files - others - check), lines_of(check), lines_of(tests)
    return found


# -- the report -------------------------------------------------------------------------------

COLUMNS = "words cells lines fold w/line longest sections predict seen turn excur honest stated package check tests"


def main(arguments=None) -> int:
    names = sys.argv[1:] if arguments is None else arguments
    paths = [Path(name) for name in names] or sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
    cost, form_of = costs(), {path: count(path) for path in paths}
    print(f"{'chapter':24}" + "".join(f"{name:>9}" for name in COLUMNS.split()))
    for path, form in form_of.items():
        values = [form.words, form.cells, form.lines, form.folded, f"{form.density:.1f}", form.longest, len(form.turns)]
        values += [form.predictions, form.seen, sum(form.turns.values()), form.excursions]
        values += [f"{form.minutes:.0f}m", f"{form.stated or '?'}m", *cost.get(path.stem[:2], ("?",) * 3)]
        print(f"{path.stem:24}" + "".join(f"{value:>9}" for value in values))
    for path, form in form_of.items():
        if without := [section for section, turns in form.turns.items() if not turns]:
            print(f"{path.stem}: no turn in {', '.join(without)}")
    package, tests = (lines_of((ROOT / name).rglob("*.py")) for name in ("servicelab", "tests"))
    print(f"package {package} lines, tests {tests} lines; wished: {WISHED}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
