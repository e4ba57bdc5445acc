# The commands of docs/operations.md and README.md. `make` alone lists them.
PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
# How many tests run at a time.
JOBS ?= auto

.PHONY: help venv venv-dev run serve test check pytest bench backup restore upgrade

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv:
	@$(PYTHON) bin/venv.py

venv-dev:
	@$(PYTHON) bin/venv.py requirements-dev.txt

run: venv  ## the demonstration: data, server, worker (HOST=127.0.0.1 PORT=8000)
	@$(VENV_PYTHON) bin/start.py demo

serve: venv  ## the production start; docs/operations.md says which settings it needs
	@$(VENV_PYTHON) bin/start.py production

test: check pytest  ## everything that is checked, then the whole test suite

check: venv-dev  ## style, types, migrations
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m mypy --strict .
	DJANGO_SETTINGS_MODULE=tests.settings $(VENV_PYTHON) manage.py makemigrations --check --dry-run

pytest: venv-dev  ## the test suite alone; ARGS= goes to pytest
	$(VENV_PYTHON) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

bench: venv-dev  ## measure speed on both databases (ONLY= one case; BENCH_DATA= where generated worlds are kept)
	$(VENV_PYTHON) -m tests.bench $(ONLY)

backup: venv  ## save database and files of the running installation (FILE= where to)
	@$(VENV_PYTHON) bin/upkeep.py backup $(FILE)

restore: venv  ## put a backup back (FILE=); what is there now is saved first
	@test -n "$(FILE)" || { echo "Name the backup: make restore FILE=backups/…"; exit 2; }
	@$(VENV_PYTHON) bin/upkeep.py restore $(FILE)

upgrade: venv  ## after fetching new code: backup, requirements, migrations, static files
	@$(VENV_PYTHON) bin/upkeep.py upgrade
