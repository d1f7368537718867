"""What is committed is clean: notebooks stripped and readable, links that resolve, nothing of one machine."""

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from servicelab.lifecycle import Component
from tests.conftest import ROOT
from tools.form import is_folded, stated_minutes

LONGEST_CELL = 25  # lines
MOSTLY = 15  # lines, for at least MOSTLY_SHARE of the code cells
MOSTLY_SHARE = 0.7

# STYLE.md, "Cut": they say nothing. Written in two parts so that this file does not contain them.
FILLERS = [
    "it is " + "important to note", "it's " + "important to note", "it is " + "worth noting", "in this " + "section",
    "as we " + "can see", "let's " + "dive", "let us " + "dive", "needless " + "to say", "in today's " + "world",
    "plays a " + "crucial role", "delve " + "into", "without " + "further ado",
]  # fmt: skip
REGISTRIES = ["files.python" + "hosted.org", "pypi.org" + "/simple", "registry.npm" + "js.org", "deb." + "debian.org"]
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home|Users|tmp|private)/[a-z]\w+")
GENERATED = re.compile(
    r"(^|/)(__pycache__|\.ipynb_checkpoints|\.venv|build|artefacts|node_modules|.*\.egg-info)/|^benchmarks/results/"
    r"|\.(pyc|log|tmp)$|(^|/)(uv\.lock|pylock\.toml)$"
)
EMOJI = re.compile("[\U0001f300-\U0001faff\u2728\u2705\u274c\u2b50]")


def committed() -> list[Path]:
    """What git tracks; without git (an unpacked archive) all files that are not in a derived folder."""
    if (ROOT / ".git").exists():
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = [ROOT / name for name in names.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not GENERATED.search(path.relative_to(ROOT).as_posix())]
    return [path for path in found if path.is_file()]


FILES = committed()
NOTEBOOKS = [path for path in FILES if path.suffix == ".ipynb"]
PAGES = [path for path in FILES if path.suffix == ".md"]

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
each_text = pytest.mark.parametrize("path", NOTEBOOKS + PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def cells(path: Path, kind: str | None = None) -> list[dict]:
    book = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in book["cells"] if kind in (None, cell["cell_type"])]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def prose(path: Path) -> str:
    """The text that a reader reads, without code."""
    if path.suffix == ".md":
        return without_code(path.read_text(encoding="utf-8"))
    return "\n\n".join(without_code(source(cell)) for cell in cells(path, "markdown"))


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def test_there_is_something_to_check():
    assert NOTEBOOKS, "no notebook is committed"
    assert PAGES, "no README is committed"


def test_the_readme_has_each_chapter_with_its_minutes():
    row = re.compile(r"^\| (\d\d) \| \[.*?\]\((.*?)\) \| .* \| (\d+) \| (?:\[lab\]\((.*?)\), (\d+) )?\|$", re.M)
    rows = row.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    said = [(page, int(minutes)) for _, *pairs in rows for page, minutes in zip(pairs[::2], pairs[1::2]) if page]
    assert sorted(ROOT / page for page, _ in said) == sorted(
        p for p in NOTEBOOKS if p.parts[-2] in ("notebooks", "labs")
    )
    assert [(page, minutes) for page, minutes in said if stated_minutes(prose(ROOT / page)) != minutes] == []


def test_outputs_are_stripped():
    tool = Path(sys.executable).parent / "nbstripout"
    done = subprocess.run([tool, "--keep-id", "--verify", *NOTEBOOKS], capture_output=True, text=True)
    assert done.returncode == 0, f"run nbstripout --keep-id on what it names:\n{done.stdout[:2000]}"


@each_notebook
def test_cell_ids_are_unique_and_given_by_hand(path):
    ids = [cell.get("id") for cell in cells(path)]
    assert None not in ids
    assert len(set(ids)) == len(ids), f"twice: {sorted(id for id in ids if ids.count(id) > 1)}"
    random = [id for id in ids if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-?[0-9a-f]+)?", id)]
    assert not random, f"ids made by a machine, give them names: {random}"


@each_notebook
def test_code_cells_that_are_seen_are_short(path):
    seen = [cell for cell in cells(path, "code") if not is_folded(cell)]
    lengths = {cell["id"]: source(cell).count("\n") + 1 for cell in seen}
    assert {id: lines for id, lines in lengths.items() if lines > LONGEST_CELL} == {}
    short = sum(lines <= MOSTLY for lines in lengths.values())
    assert short >= MOSTLY_SHARE * len(lengths), f"only {short} of {len(lengths)} code cells have ≤ {MOSTLY} lines"


@each_notebook
def test_figures_are_shown_with_alternative_text(path):
    bare = [cell["id"] for cell in cells(path, "code") if re.search(r"\bplt\.show\(|\bfig(ure)?\.show\(", source(cell))]
    assert not bare, f"use show(fig, alt) of servicelab.views: {bare}"
    blank = [cell["id"] for cell in cells(path, "markdown") if re.search(r"!\[\s*\]\(", source(cell))]
    assert not blank, f"pictures without alternative text: {blank}"


@each_notebook
def test_the_kernel_is_the_ordinary_one(path):
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"


@each_text
def test_prose_has_no_filler(path):
    text = re.sub(r"\s+", " ", prose(path)).lower().replace("’", "'")
    assert [filler for filler in FILLERS if filler in text] == []
    assert EMOJI.findall(text) == []


def heading_anchor(heading: str, lab: bool) -> str:
    """The anchor of a heading: JupyterLab keeps capitals and turns blanks into '-'; GitHub lowers and drops marks."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip()
    if lab:
        return re.sub(r"[*_`]", "", heading).replace(" ", "-")
    return re.sub(r"[^\w\- ]", "", re.sub(r"[*`]", "", heading).lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8") if path.suffix == ".md" else "\n".join(
        source(cell) for cell in cells(path, "markdown")
    )  # fmt: skip
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    found = {heading_anchor(heading, lab=path.suffix == ".ipynb") for heading in headings}
    return found | set(re.findall(r"<a\s+(?:id|name)=[\"']([^\"']+)", text))


def links(path: Path) -> list[str]:
    text = prose(path)
    return re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text) + re.findall(r"(?:href|src)=\"([^\"]+)\"", text)


def broken_links(path: Path, known=None) -> list[str]:
    """The relative links and anchors of ``path`` that lead nowhere. ``known``: the files that will be committed."""
    bad = []
    for link in links(path):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path.resolve()
        if not target.exists():
            bad.append(f"{link}: no such file")
        elif known is not None and target.is_file() and target not in known:
            bad.append(f"{link}: not in the repository")
        elif anchor and target.suffix in (".md", ".ipynb") and anchor not in anchors(target):
            bad.append(f"{link}: no such heading")
    return bad


@each_text
def test_links_resolve(path):
    assert broken_links(path, known={file.resolve() for file in FILES}) == []


def test_broken_links_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](#one-two) [b](#three) [c](gone.md) [d](page.md#one-two) [e](https://x.example/)\n")
    assert broken_links(page) == ["#three: no such heading", "gone.md: no such file"]
    assert broken_links(page, known=set())[-1] == "page.md#one-two: not in the repository"


@each_text
def test_chapters_that_are_named_exist_or_are_in_the_plan(path):
    """`chapter 07` in a text must be one of the sixteen, `lab 01` one that has a solution."""
    text = prose(path)
    wrong = [number for number in re.findall(r"[Cc]hapter (\d\d)\b", text) if int(number) > 15]
    assert wrong == []


def test_nothing_generated_is_committed():
    names = [path.relative_to(ROOT).as_posix() for path in FILES]
    assert [name for name in names if GENERATED.search(name)] == []


def test_no_path_of_one_machine_and_no_registry_is_committed():
    found = []
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT).as_posix()
        found += [f"{name}: {host}" for host in REGISTRIES if host in text]
        found += [f"{name}: {hit}" for hit in MACHINE_PATH.findall(text)]
    assert found == []


def test_the_package_listens_narrowly_and_holds_no_open_ends():
    wide, marks = "0.0." + "0.0", re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
    found = []
    for path in FILES:
        if path.suffix in (".py", ".ipynb") and "tests" not in path.relative_to(ROOT).parts[:1]:
            text = path.read_text(encoding="utf-8")
            found += [f"{path.name}: {hit}" for hit in marks.findall(text)]
            found += [f"{path.name}: {bad}" for bad in (wide, "debug=" + "True") if bad in text]
    assert found == []


#: What a secret looks like when it is written down. Keys are made by `secrets`, when they are needed.
SECRETS = {
    "a key": re.compile(
        r"""(?i)(?:secret|password|api_?key|token|secret_key)["']?\]?\s*[=:]\s*b?["'][^"'{}\s]{6,}["']"""
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}|(?i:bearer|basic) [\w.~+/-]{16,}=*"),
    # Letters of both kinds and digits, mixed as no word or address is.
    "something random": re.compile(
        r"(?<![\w/.#:-])(?=[\w+/-]*\d)(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?!\w*_)[\w+/-]{32,}={0,2}(?![\w/.-])"
        r"|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{32,}\b"
    ),
}


def written_secrets(text: str) -> list[str]:
    return [f"{kind}: {hit.group()[:60]}" for kind, form in SECRETS.items() for hit in form.finditer(text)]


@each_notebook
def test_no_secret_is_written_into_a_notebook(path):
    assert [hit for cell in cells(path) for hit in written_secrets(source(cell))] == []


@pytest.mark.parametrize(
    "text",
    [
        "app.secret_key = " + "'correct-horse'",
        'config["SECRET_KEY"]' + ' = "correct-horse"',
        "-----BEGIN EC PRIVATE " + "KEY-----",
        "Authorization: Bearer " + "abcdefghijklmnop1234",
        "eyJ" + "hbGciOiJI.eyJ" + "zdWIiOiJv",
        '"' + "Ab3dEf6hIj9kLm" * 3 + '"',
        "0a1b2c3d" * 4,
    ],
)
def test_a_secret_that_is_written_down_is_seen(text):
    assert written_secrets(text)


def test_no_server_can_be_told_to_listen_elsewhere():
    """Which addresses a notebook really listens on, `tests.notebooks` sees while it runs."""
    for module in pkgutil.walk_packages([ROOT / "servicelab"], "servicelab."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)
    kinds, elsewhere = [Component], []
    for kind in kinds:
        kinds += kind.__subclasses__()
        names = set(inspect.signature(kind.__init__).parameters)
        elsewhere += [(kind.__name__, name) for name in names & {"host", "interface", "bind", "listen"}]
    assert len(kinds) > 15 and elsewhere == []
    wide = re.compile(r"\bbind\(\(\s*([^,]+),|add_insecure_port\(f?[\"']([^:]+):")
    hosts = {}
    for path in (ROOT / "servicelab").rglob("*.py"):
        for hit in wide.finditer(path.read_text(encoding="utf-8")):
            hosts.setdefault(hit.group(1) or hit.group(2), set()).add(path.stem)
    assert hosts.pop('""', set()) == {"tls"}  # bound to the loopback device: see tests/test_chapter_13.py
    assert set(hosts) <= {"HOST", "{HOST}", '"127.0.0.1"', "127.0.0.1"}


def test_a_room_imports_only_rooms_below_it():
    """The floors of the house; what is not listed here must be given a floor."""
    floors = {
        "arguments": 0, "nodelay": 0, "scratch": 0, "significant": 0, "table": 0, "trace": 1, "theory": 1,
        "lifecycle": 1, "loop_server": 1, "policies": 1, "leases": 1, "sim": 2, "servers": 2, "faults": 2, "clients": 2,
        "gameday": 2, "views": 3, "checks": 4, "doctor": 4,
    }  # fmt: skip
    bad = []
    for path in (ROOT / "servicelab").rglob("*.py"):
        room = path.relative_to(ROOT / "servicelab").parts[0].removesuffix(".py")
        if room == "__init__":
            assert "import" not in re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.S)
            continue
        for used in re.findall(r"(?:from|import) servicelab\.(\w+)", path.read_text(encoding="utf-8")):
            if room not in floors or used not in floors:
                bad.append(f"{path.name}: {room} or {used} has no floor")
            elif floors[used] > floors[room] or (room == "faults" and used == "servers"):
                bad.append(f"{path.name}: {room} must not import {used}")
    assert bad == []


def test_the_licence_names_both_licences():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Redistribution and use in source and binary forms" in text
    assert "https://creativecommons.org/licenses/by/4.0/" in text


@pytest.mark.parametrize("package", ["servicelab.servers", "servicelab.servers.amqp"])
def test_a_name_that_is_imported_when_it_is_asked_for_is_where_the_table_says(package):
    module = importlib.import_module(package)
    assert module.__all__ and all(getattr(module, name) is not None for name in module.__all__)
