# Two commands do all the set-up on a machine that has Python 3.11 or newer:
#   make demo   trains on drawn faces, verifies people it has never seen, writes a report
#   make test   lint, types, import layers and tests, without the slow ones and with a quarter of the large grids
# Both install the versions of constraints.txt. On a machine with a CUDA GPU
#   make test-gpu   what only a GPU can check, and what was skipped and why
# For readers and for whoever releases:
#   make test-all      the same with every test: runs that are killed, several processes, benchmarks, whole grids
#   make docs          the site, in build/site
#   make wheel-test    builds the wheel and uses it in an empty environment outside the clone
# Two more are for whoever changes what the project stands on:
#   make lock          finds the newest versions, writes constraints.txt and says what moved
#   make test-newest   the tests alone, on the newest of everything, in an environment of their own
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
NEWEST := $(VENV)-newest
TESTS  := -m pytest -n 2 -q --durations=40
QUICK  := -m 'not slow'
# What `pip install -c` does, for what builds the project as well: there older versions of pip read the first name and
# newer ones the second.
PINNED := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt

.PHONY: demo test test-all test-gpu lint types layers unit figures install docs wheel-test lock test-newest clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PINNED) $(BIN)/pip install --quiet -e ".[dev]"
	touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/angulus train recipes/synthetic_tiny_arcface.yaml out=runs/demo --resume

test: lint types layers unit

test-all: QUICK :=
test-all: lint types layers unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/pyrefly check

layers: install
	$(BIN)/lint-imports

unit: install
	OMP_NUM_THREADS=1 $(BIN)/python $(TESTS) $(QUICK)

# with a python of your own that has torch for your GPU: make test-gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python
test-gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),install)
	$(GPU_PYTHON) tools/gpu_tests.py $(GPU_TESTS)

# a warning is an error: a link that leads nowhere, a page that no menu names
$(VENV)/.docs: $(VENV)/.installed
	$(PINNED) $(BIN)/pip install --quiet -e ".[docs]"
	touch $@

docs: $(VENV)/.docs
	$(BIN)/python tools/site_pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the site: build/site/index.html; with its search: $(PYTHON) -m http.server --directory build/site"

wheel-test:
	$(PYTHON) tools/wheel_check.py

lock:
	$(PYTHON) tools/lock.py

test-newest:
	$(PYTHON) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/pip install --quiet -e ".[dev]"
	OMP_NUM_THREADS=1 $(NEWEST)/bin/python $(TESTS)

# the committed figures that need no GPU and only minutes, compared to the last digit (needs the data of docs/data.md);
# make figures FIGURES="--only identify retrieve"
figures: install
	$(BIN)/python benchmarks/figures.py $(FIGURES)

clean:
	rm -rf $(VENV) $(NEWEST) runs
