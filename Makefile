# The same as the scripts, for those who like make.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-real bench lint fix

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the locked dependencies
	script/setup dev

demo: ## the whole platform with a sample province, until Ctrl-C
	script/demo

test: ## all tests that this machine can run
	script/test

test-real: ## the tests on Apache Kafka, a ClickHouse server and Redis
	script/test --real

bench: ## throughput and latency, against other ways of doing it
	script/bench

lint: ## ruff, types, imports, rules
	script/lint

fix: ## let ruff mend what it can, then lint
	script/lint --fix
