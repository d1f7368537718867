# The commands of the course. `make` alone lists them.
# Written for GNU make 3.81, which macOS has: one shell a line, nothing newer.

# The Python that makes .venv. Empty: the first of 3.11 or later that is found.
PYTHON =
# Most tests wait for sockets more than they compute: three times as many workers as a small machine has cores.
# To see one test at work: make test WORKERS= ARGS="-k breaker -s"
WORKERS = -n 6
# More arguments: make lab ARGS=--port=9000, make test ARGS="-k hygiene"
ARGS =

# Compiled modules are kept, whatever the shell says: each kernel and each server of the tests is a Python of its own,
# which would compile two seconds long before it begins.
export PYTHONDONTWRITEBYTECODE =

VENV = .venv
BIN = $(VENV)/bin
START = $(if $(PYTHON),$(PYTHON),python3)
MAKE_VENV = @command -v $(START) >/dev/null 2>&1 || { \
	echo "Servicelab needs Python 3.11 or later, and '$(START)' was not found."; \
	echo "Install it (Debian: python3 python3-venv; macOS: brew install python), or use conda: see README.md."; \
	exit 1; }; \
	$(START) tools/venv.py $(if $(PYTHON),--python "$(PYTHON)")

.PHONY: help env dev lab test check labs environment lock bench form clean

help:
	@echo "make lab     start JupyterLab on the start page (makes the environment first)"
	@echo "make env     only make the environment, in .venv"
	@echo "make test    run every test"
	@echo "make bench   measure, and write JSON and a table to benchmarks/results"
	@echo "make form    count what each chapter asks of a learner, and what it costs"
	@echo "make labs    make labs/ from solutions/"
	@echo "make lock    make the locks and environment.yml anew from pyproject.toml"
	@echo "make clean   remove .venv and everything else that was made"

env:
	$(MAKE_VENV)

dev:
	$(MAKE_VENV) --dev

lab: env
	@$(BIN)/python tools/lab.py $(ARGS)

# Style and derived files first: they take seconds. The last line is pytest's.
test: check
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

check: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m tools.make_environment --check
	@$(BIN)/python -m tools.make_labs --check

labs: dev
	@$(BIN)/python -m tools.make_labs

environment: dev
	@$(BIN)/python -m tools.make_environment

# No host gets into a lock: uv writes none with these flags. Never commit uv.lock: it has them.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate
lock: dev
	@$(COMPILE) pyproject.toml -o requirements.txt
	@$(COMPILE) pyproject.toml --extra dev -c requirements.txt -o requirements-dev.txt
	@$(BIN)/python -m tools.make_environment

bench: dev
	@$(BIN)/python -m benchmarks.run $(ARGS)

# A report, not a test. Some chapters only: make form ARGS=notebooks/10-circuit-breaking.ipynb
form: dev
	@$(BIN)/python -m tools.form $(ARGS)

clean:
	rm -rf $(VENV) build artefacts benchmarks/results *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -prune -exec rm -rf {} +
