# Two commands are all that a newcomer needs: make demo, make test.
PYTHON ?= python3.11
BIN := .venv/bin
PLAYWRIGHT := 1.65.1
# A file's tests stay in one process: they share what is slow to make.
PARALLEL ?= --numprocesses 2 --dist loadfile

.PHONY: install demo web test test-slow clients browser check-gpu lint format clean

install: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: install
	$(BIN)/python recipes/demo.py

# The shipped model in the browser: photos stay on the machine that shows them.
web: install
	$(BIN)/mamc export saved_models/grocery81_lite0 --out build/export \
		--variants --layouts --web build/web
	@echo "Open http://127.0.0.1:8000 (Ctrl-C ends it)"
	cd build/web && ../../$(BIN)/python -m http.server --bind 127.0.0.1 8000

test: install
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-slow: install clients browser
	$(BIN)/python -m pytest -m slow $(PARALLEL)

# MediaPipe, OpenCV, OpenVINO and onnxruntime, which read the exported files;
# without them, or MediaPipe's libraries, their tests are skipped.
clients:
	@$(MAKE) --no-print-directory .venv-clients/installed || \
		echo "No client environment: tests/test_clients.py will be skipped."

.venv-clients/installed: requirements-clients.txt
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/pip install --quiet --no-deps \
		--requirement requirements-clients.txt
	ldconfig -p | grep -q libGLESv2 || \
		(apt-get update -qq && apt-get install -qq libegl1 libgles2)
	touch $@

# Chromium and its driver, for the test of the page; without them it is skipped.
browser:
	@command -v chromium >/dev/null || \
		(apt-get update -qq && apt-get install -qq --no-install-recommends \
			chromium) || \
		echo "No chromium: the browser test will be skipped."
	@test -d build/browser/node_modules/playwright-core || \
		npm install --silent --prefix build/browser \
			playwright-core@$(PLAYWRIGHT) || \
		echo "No playwright-core: the browser test will be skipped."

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
	rm -rf .venv .venv-clients build dist *.egg-info
