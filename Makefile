# Two commands are all that a newcomer needs: make demo, make test.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: install demo test test-slow check-gpu lint format clean

install: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: install
	$(BIN)/python recipes/demo.py

test: install
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slow"

test-slow: install
	$(BIN)/python -m pytest -m slow

# On a machine with NVIDIA GPUs; CUDA comes from PyPI, only the driver is needed.
check-gpu: install
	$(BIN)/pip install --quiet --editable '.[gpu]'
	$(BIN)/python benchmarks/check_gpu.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info
