# `make demo` and `make test` do everything on a fresh machine: environment, installation, run.
# The Python that makes the environment can be chosen: `make test PYTHON=python3.12`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SETUP_FILES := setup.cfg setup.py pyproject.toml
# Without a compiler the op's twin of stock TensorFlow operations serves.
BUILD_OP = $(BIN)/python custom_ops/build.py || echo "no compiled op: see custom_ops/README.md"

.PHONY: help install install-dev demo test test-scale parity notebooks check format docs dist clean

help:
	@echo "make demo     install, then train and evaluate on composed scenes (no network needed after installation)"
	@echo "make test     install, then lint, format check, type check and tests"
	@echo "make test-scale   tests with packages beside this one (sahi, trackers, Ray), in an environment of their own (2 GB)"
	@echo "make parity   print how far every number is from torchvision's and detectron2's (ten minutes)"
	@echo "make notebooks   execute the notebooks, and write them with their figures (half an hour)"
	@echo "make check    lint, format check and type check"
	@echo "make format   put the code into the project's format"
	@echo "make docs     build the documentation into build/docs/index.html"
	@echo "make dist     build wheel and sdist, and try each in a fresh environment (3 GB, ten minutes)"
	@echo "make clean    remove the environment and what tools left behind"

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	@touch $@

# The stamps make the installation run again when, and only when, its description changes.
$(VENV)/.installed: $(SETUP_FILES) | $(VENV)/.created
	$(BIN)/python -m pip install --quiet --editable ".[plots]"
	$(BUILD_OP)
	@touch $@

$(VENV)/.installed-dev: $(SETUP_FILES) | $(VENV)/.created
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	$(BUILD_OP)
	@touch $@ $(VENV)/.installed

demo: install
	$(BIN)/maskrcnn demo

test: check
	$(BIN)/python tests/suite.py

# What is installed for development, and packages beside it that the suite does without.
$(VENV)/scale/.installed: $(SETUP_FILES) | $(VENV)/.installed-dev
	$(BIN)/python -m venv $(VENV)/scale
	$(VENV)/scale/bin/python -c 'import site, sys; open(site.getsitepackages()[0] + "/dev.pth", "w").write(f"import site; site.addsitedir({sys.argv[1]!r})")' \
		"$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')"
	$(VENV)/scale/bin/python -m pip install --quiet supervision sahi trackers "ray[data,train]"
	@touch $@

test-scale: $(VENV)/scale/.installed
	$(VENV)/scale/bin/python -m pytest -q -rs tests/inference/test_slicers.py \
		tests/inference/video/test_tracking.py tests/scale

parity: install-dev
	$(BIN)/python tests/parity/table.py

notebooks: install-dev
	$(BIN)/python notebooks/run.py

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy keras_maskrcnn

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install-dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going docs build/docs

dist: install-dev
	$(BIN)/python release/make_dist.py --python $(PYTHON)

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache *.egg-info
