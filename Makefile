.PHONY: help install fix lint test test-code test-live test-docs test-all test-secure test-cluster

help:  ## Show this help.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

install:  ## Install with everything the tests need.
	python -m pip install -c constraints.txt -e '.[dev]'

fix:  ## Format, and mend what can be mended by itself.
	python -m ruff check --fix .
	python -m ruff format .

lint:  ## Style, format and types.
	python -m ruff check .
	python -m ruff format --check .
	python -m mypy

test:  ## All tests but the two slower stages: three parts, two at a time.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-code test-docs test-live

test-code:  ## The tests that need no node.
	python -m pytest --ignore tests/test_docs.py -m "not node and not live and not secure and not cluster"

test-live:  ## The tests on an OpenSearch 3.6, which is started and stopped.
	python -m pytest --ignore tests/test_docs.py -m "(node or live) and not secure and not cluster"

test-docs:  ## Every documented command, in order.
	python -m pytest tests/test_docs.py

test-secure:  ## The live tests again, on OpenSearch 2.19 over TLS as an unprivileged user.
	TANDEM_TEST_CLUSTER=secure python -m pytest -m "(live or secure) and not operations"

test-cluster:  ## Three nodes, one of which is killed.
	python -m pytest -m cluster

test-all: test test-secure test-cluster  ## Every stage.
