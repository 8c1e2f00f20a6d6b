.PHONY: help install fix lint test test-fast

help:  ## Show this help.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

install:  ## Install with everything the tests need.
	python -m pip install -c constraints.txt -e '.[dev]'

fix:  ## Format, and mend what can be mended by itself.
	python -m ruff check --fix .
	python -m ruff format .

lint:  ## Style, format and types.
	python -m ruff check .
	python -m ruff format --check .
	python -m mypy

test:  ## All tests; starts an OpenSearch node of its own and stops it.
	python -m pytest

test-fast:  ## The tests that need no node.
	python -m pytest -m "not node"
