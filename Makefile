# make demo | test | test-all | bench | samples | install | lint | types | clean
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/*/pyproject.toml)
PACKAGES := $(patsubst %,-p %,probe4d probe4d_metrics probe4d_datasets probe4d_runners \
	$(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/probe4d_*/__init__.py)))))
# A file's tests stay on one worker, which makes what they share once.
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test test-all bench samples install lint types clean

# First a real tracker's output on a real video, from the motmetrics package (ids of the two files are unrelated),
# then the main job: patch colours, a small 4DS with random weights and with trained ones, on five tasks. The same command again goes on or is done.
MOT = $$($(BIN)/python -c "import importlib.util as u; print(u.find_spec('motmetrics').submodule_search_locations[0])")
demo: install
	$(BIN)/probe4d score boxes --format mot --match first-overlap \
		--predictions "$(MOT)/data/TUD-Campus/test.txt" --targets "$(MOT)/data/TUD-Campus/gt.txt"
	$(BIN)/probe4d run playroom-quick --output-dir runs/playroom-quick

test: $(VENV)/torch lint types
	OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile -m "not slow and not bench" --benchmark-disable $(ARGS)

test-all: $(VENV)/torch lint types
	OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile -m "not bench" --benchmark-disable $(ARGS)

bench: install
	$(PYTEST) tests/benchmarks -p no:xdist --benchmark-columns=min,median,ops --benchmark-sort=name \
		--benchmark-json=benchmarks.json $(ARGS)

samples: install
	$(BIN)/python -m probe4d_datasets.samples --dest samples

install: $(VENV)/installed

$(VENV)/installed: requirements/lock.txt requirements/wheelhouse.txt pyproject.toml $(PLUGINS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--editable . $(patsubst %/pyproject.toml,--editable ./%,$(PLUGINS))
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --dest $(VENV)/wheelhouse \
		-r requirements/wheelhouse.txt
	touch $@

$(VENV)/torch: requirements/torch.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy $(PACKAGES)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis build dist benchmarks.json
