# Parts that tests and authors need beside the labs themselves.
EXTRAS := vision test instructor cluster toolbox chip site

# The first Python from 3.11 on that really runs (a shim may be there and not run).
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python .venv/bin/python
SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for python in $(CANDIDATES); do \
	"$$python" -c "$(SUPPORTED)" >/dev/null 2>&1 && echo "$$python" && break; done)
endif
ifeq ($(PYTHON),)
$(error No Python 3.11 or newer was found: install one, or name it with PYTHON=path)
endif
LABCORE := $(PYTHON) -m labcore

.PHONY: lab submit test test-all test-browser solutions release picture site mutants bench lint setup

lab:
	@$(LABCORE) lab

# make submit LAB=02
submit:
	@$(LABCORE) submit $(LAB)

# Whole files to each worker, in the order that conftest.py makes.
PYTEST := $(LABCORE) run pytest -n auto --dist loadfile --no-loadscope-reorder

# All but the tests marked long; `make test-all` runs those too.
test: setup
	@$(PYTEST) -m "not long"

test-all: setup site
	@$(LABCORE) setup browser
	@$(PYTEST)

# a student's JupyterLab, the site and feedback in Chromium or Chrome
test-browser: setup site
	@$(LABCORE) setup browser
	@$(PYTEST) tests/browser --need-browser

solutions: setup
	@$(LABCORE) solutions

release: setup
	@$(LABCORE) release

# the README's picture and its alt text
picture: setup
	@LABCORE_PRECISION=fp32 $(LABCORE) run labcore.staff.authoring.overview

# the course as pages in docs/_build/html; SITE_REPOSITORY=address links to solutions
site:
	@$(LABCORE) setup site
	@$(LABCORE) run labcore.staff.authoring.site

# every small change of the right answers, through the checks; one lab: LAB=02
mutants: setup
	@$(LABCORE) run tests.mutants $(LAB)

bench: setup
	@$(LABCORE) run tests.bench

lint: setup
	@$(LABCORE) run ruff check
	@$(LABCORE) run ruff format --check

setup:
	@$(LABCORE) setup $(EXTRAS)
