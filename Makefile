# Everything here works in a fresh clone with Python 3.11+ and pip; no environment has to be activated.
.DEFAULT_GOAL := setup
.PHONY: setup demo hub test soak bench bench-speed lint release mistakes leaks lock clean help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
ALL_LESSONS := $(notdir $(patsubst %/,%,$(wildcard source/*/)))
LESSON ?= $(ALL_LESSONS)

setup: ## Install everything into .venv with pip (PYTHON=..., TORCH_INDEX=...); seconds when it is there
	@PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" grader_env/setup.sh

demo: setup ## Grade sample submissions in build/demo and show what came out
	@$(BIN)/torchgrade demo

hub: setup ## Serve the sample class of hub_config/ in JupyterHub, until Ctrl-C
	@$(BIN)/torchgrade hub serve

test: lint ## Run the linters and every test (ARGS="-k name" is passed on to pytest)
	@$(BIN)/pytest -n auto --dist loadgroup $(ARGS)

soak: setup ## Run the tests that are too slow for every run: more random values, other seeds (ARGS="-k name")
	@$(BIN)/pytest -n auto --dist loadgroup -m soak $(ARGS)

bench: setup ## Time grading against stock nbgrader and the lowest time there can be (ARGS="01_... 07_..."; all: long)
	@$(BIN)/python tests/bench_autograde.py $(ARGS)

bench-speed: setup ## Count right, wrong and open verdicts of speed checks with known ratios (ARGS=0.1 for a tenth of 500)
	@$(BIN)/python tests/bench_speed.py $(ARGS)

lint: setup ## Check style and types (ruff, mypy)
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet --output-format concise
	@$(BIN)/mypy --no-error-summary

release: setup ## Write release/ from source/ with nbgrader (LESSON=01_... for one lesson)
	@$(foreach lesson,$(LESSON),test -d source/$(lesson) || \
		{ echo "release: no lesson source/$(lesson). There are: $(ALL_LESSONS)" >&2; exit 2; };)
	@$(foreach lesson,$(LESSON),$(BIN)/nbgrader generate_assignment --force $(lesson) &&) true

mistakes: setup ## Prove that the tests catch every wrong answer in the banks (LESSON=...)
	@$(BIN)/torchgrade lesson mistakes $(LESSON)

leaks: setup ## Prove that no solution or hidden test is in what students get (LESSON=...)
	@$(BIN)/torchgrade lesson leaks $(LESSON)

lock: setup ## Resolve the .in files afresh into lock.txt (Python 3.11)
	@mkdir -p build
	@$(BIN)/python grader_env/requirements/lock.py >build/lock.txt
	@mv build/lock.txt grader_env/requirements/lock.txt

clean: ## Remove build/ and the tools' caches; .venv, submissions and grades stay
	@rm -rf build .pytest_cache .ruff_cache .mypy_cache .hypothesis

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile
