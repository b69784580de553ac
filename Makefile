# Everything a fresh machine needs, one command each. PYTHON=python3.12 chooses another Python.
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
PICTURE := napari-ies-demo.png

.PHONY: help demo test quick test-lowest lint clean libraries

help:
	@echo "make demo   open the viewer with a synthetic patient (without a display: write $(PICTURE))"
	@echo "make test   run the tests; make test ARGS='-n 0 -k name' runs some of them"
	@echo "            make test ARGS='-n 0 tests/viewer/test_monkey.py --monkey-actions 2000 --monkey-seed 7' plays longer in the window"
	@echo "make quick  run the tests that take no time, in under two minutes, while you work"
	@echo "make test-lowest  run all tests but the viewer's with the lowest versions allowed (6 GB on Linux: that torch has CUDA)"
	@echo "make lint   check style and types"
	@echo "make clean  remove the virtual environment and all caches"

demo: libraries $(VENV)/.ready-demo
	@if [ "$$(uname)" = Linux ] && [ -z "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ]; then \
		scripts/on_screen.sh $(BIN)/napari-ies demo --screenshot $(PICTURE); \
	else \
		$(BIN)/napari-ies demo; \
	fi

test: libraries $(VENV)/.ready-dev
	@scripts/on_screen.sh --own $(BIN)/python -m pytest -n auto --dist loadgroup --durations 20 $(ARGS)

quick: libraries $(VENV)/.ready-dev
	@scripts/on_screen.sh --own $(BIN)/python -m pytest -n logical --dist loadgroup -m "not slow" $(ARGS)

test-lowest: libraries
	@scripts/test_lowest.sh $(LOWEST) $(ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

libraries:
	@scripts/libraries.sh

# The stamps: what they hang on, changed, means installing again.
$(VENV)/.ready-%: pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh $(VENV) $*
	@touch $@

clean:
	rm -rf $(VENV) $(LOWEST) build dist .mypy_cache .pytest_cache .ruff_cache $(PICTURE)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
