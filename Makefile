# Two commands do all the set-up on a machine that has Python 3.11 or newer:
#   make demo   trains on drawn faces, verifies people it has never seen, writes a report
#   make test   lint, types, import layers and tests
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint types layers unit figures install clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/angulus train recipes/synthetic_tiny_arcface.yaml out=runs/demo --resume

test: lint types layers unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/pyrefly check

layers: install
	$(BIN)/lint-imports

unit: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

# the committed figures that need no GPU and only minutes, compared to the last digit (needs the data of docs/data.md);
# make figures FIGURES="--only identify retrieve"
figures: install
	$(BIN)/python benchmarks/figures.py $(FIGURES)

clean:
	rm -rf $(VENV) runs
