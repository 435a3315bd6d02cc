# Every way to work with CodeHealer. `make` alone lists them.
CARGO ?= cargo
RUST_MINIMUM := 1.90

.DEFAULT_GOAL := help
.PHONY: help setup services build demo test lint deny bench bench-learning fuzz ci package plan deploy destroy tf-check local

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Check that the tools are there, and say how to get them where they are not
	@scripts/check-tools $(RUST_MINIMUM)

build: setup ## Build the release program: target/release/codehealer
	$(CARGO) build --locked --release

demo: setup ## Make a small shop with planted bugs in a folder of its own and heal it
	$(CARGO) run --locked --quiet -- demo $(ARGS)

services: setup ## Install the servers that the tests start: DynamoDB Local, OpenSearch, moto, emulators
	@scripts/counterparts

test: services ## Run every test, against real servers where there are any
	$(CARGO) test --locked $(ARGS)

lint: setup ## Formatting, clippy and the documentation's links, warnings refused
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

deny: setup ## Licences, sources and banned crates of the dependencies
	@scripts/check-dependencies

bench: setup ## Benchmarks: memory, receiver, start of the functions, a push to its pull request, scan against Bandit and ruff
	$(CARGO) bench --locked --bench bench
	$(CARGO) bench --locked --bench end_to_end
	$(CARGO) build --locked --profile bench --bin codehealer --bench minimal_function
	scripts/bench_lambda.py target/release/codehealer "$$(ls -t target/release/deps/minimal_function-* | grep -v '\.d$$' | head -1)"
	python3 scripts/bench.py target/release/codehealer

bench-learning: setup ## How well learned fixes fit elsewhere: make bench-learning PAIRS=fixes.jsonl FOLDER=/tmp/learning (docs/LEARNING.md)
	@[ -n "$(PAIRS)" ] && [ -n "$(FOLDER)" ] || { echo "name PAIRS (fixes, one a line) and FOLDER (outside the project); see docs/LEARNING.md" >&2; exit 2; }
	scripts/bench_learning.py "$(PAIRS)" "$(FOLDER)" $(ARGS)

fuzz: setup ## Fuzz scanning and healing, 10 minutes a language: make fuzz MINUTES=1 LANGUAGES=python,go SEED=7, or INPUT=file to repeat
	FUZZ_MINUTES="$(MINUTES)" FUZZ_LANGUAGES="$(LANGUAGES)" FUZZ_SEED="$(SEED)" FUZZ_INPUT="$(abspath $(INPUT))" \
	  $(CARGO) test --locked --test integration -- --ignored --exact --nocapture fuzz::fuzz

package: setup ## The zip for Lambda (arm64): target/lambda/codehealer.zip, at most 15 MB
	@scripts/package

plan: ## What `make deploy` would change on AWS: make plan VARS=my.tfvars
	@scripts/deploy plan "$(VARS)"

deploy: ## Create or change a deployment on AWS: make deploy VARS=my.tfvars
	@scripts/deploy apply "$(VARS)"

destroy: ## Take a deployment away again: make destroy VARS=my.tfvars
	@scripts/deploy destroy "$(VARS)"

tf-check: ## Terraform: format, tests, policies, linters, apply to an emulator
	@scripts/tf-check

local: ## AWS on this machine, with the table, queues and secrets: LocalStack in docker, else moto
	@scripts/local $(ARGS)

ci: ## What .ci/run runs
	@.ci/run
