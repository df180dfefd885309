# Two commands on a fresh machine, each doing its own set-up in .venv:
#   make quickstart   the main job: compare the switcher with its rivals, ends with a table
#                     (ARGS="--set seeds=1" is handed on)
#   make test         style, types and tests
# and, for those who work on it:
#   make test-all     style, types and all tests, those marked slow included
#   make install      install the code into .venv again, after a change
#   make lint         style and format alone (ruff)
#   make types        types alone (mypy)
#   make benchmark    measure what everything costs, and write docs/performance.md (TOPICS="training start": some)
#   make campaign     kill workers, nodes, drivers and servers at random, and count what is lost (hours)
#   make docs         fill the documents' tables from docs/results; draw the figures of docs/science and the
#                     architecture; write what `switchbench list` shows, from the code
#   make screenshots  take the pictures of the tutorials (needs chromium and chromedriver)
#   make docs-site    build the documentation site into site/, with all links checked
# PYTHON is the interpreter to build the environment with (3.11 or later).

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
CODE   := $(shell find bench methods datasets reports configs -name '*.py' -o -name '*.sh' -o -name '*.json' -o -name '*.yaml' -o -name '*.js' -o -name '*.css' -o -name '*.html' -o -name '*.csv' -o -type d ! -name __pycache__)

.PHONY: quickstart install test test-all lint types benchmark campaign docs screenshots docs-site clean

quickstart: $(VENV)/.installed
	$(BIN)/switchbench run quickstart $(ARGS)

install: $(VENV)/.installed

test: lint types
	$(BIN)/pytest

test-all: lint types
	$(BIN)/pytest -m ''

# The hooks of .pre-commit-config.yaml are these two.
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The package is checked as it is installed: type checkers do not see an editable install.
types: $(VENV)/.installed $(VENV)/.dev
	$(BIN)/mypy -p switchbench
	$(BIN)/mypy tests tools

benchmark: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m performance $(TOPICS)

campaign: $(VENV)/.installed $(VENV)/.dev
	$(BIN)/python tools/campaign.py $(ARGS)

docs: $(VENV)/.installed
	$(BIN)/python tools/fill_docs.py
	$(BIN)/python tools/draw_science.py
	$(BIN)/python tools/draw_architecture.py
	$(BIN)/python tools/write_catalogue.py
	$(BIN)/python tools/write_reference.py
	PYTHONPATH=tests $(BIN)/python -m performance --write

screenshots: $(VENV)/.installed $(VENV)/.dev
	$(BIN)/python tools/take_screenshots.py

docs-site: $(VENV)/.installed $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The code is installed as users install it, and again when it changes. Dependencies are resolved
# only when pyproject.toml changes. A stale build folder would bring deleted modules back. Of the many
# modules of PyTorch and Ray few are imported: Python compiles these when they are, pip would compile all.
$(VENV)/.installed: $(VENV)/.dependencies $(CODE)
	@rm -rf build
	$(BIN)/pip install --quiet --no-deps --force-reinstall .
	@touch $@

$(VENV)/.dependencies: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "switchbench needs Python 3.11 or later; say which with: make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "python3 cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 2; }
	@echo "installing dependencies into $(VENV) (PyTorch is large; the first time takes minutes)"
	$(BIN)/pip install --quiet --no-compile .
	@touch $@

$(VENV)/.dev: $(VENV)/.dependencies
	$(BIN)/pip install --quiet --no-compile '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache
