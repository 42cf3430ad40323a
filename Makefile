# Each target sets up what it needs in .venv, from the lock and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench clean

demo: .venv/ready
	$(BIN)/acp-agent demo

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: .venv/ready
	$(BIN)/python scripts/check.py

bench: .venv/ready
	$(BIN)/python scripts/bench.py $(ARGS)

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf .venv dist build
