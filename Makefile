SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Development tools are pinned in a module of their own: their dependencies must not decide the versions that granter uses.
tool = $$(go tool -modfile=.ci/tools/go.mod -n $(1))

# What granter --version says.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# How long each fuzz test runs.
FUZZTIME ?= 10s
# Several times what the longest package takes on two quiet cores (cmd/granter on real servers, 11 minutes).
TIMEOUT ?= 45m
# What to test, and more arguments for go test, such as: make test PKG=./grant/source ARGS='-run Checkpoint -v'
PKG ?= ./...
ARGS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/granter
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/granter ./cmd/granter

.PHONY: demo
demo: ## a whole campaign in one process, with an embedded Kafka and Redis, to watch
	@echo "compiling granter with an embedded Kafka and Redis: the first time that takes a minute or more, and downloads modules"
	@go run -tags demo ./cmd/granter demo $(value ARGS)

.PHONY: demo-claims
demo-claims: ## damage claims in one process, from the report to the payment, to watch
	@$(MAKE) --no-print-directory demo ARGS="--claims $(value ARGS)"

.PHONY: install
install: ## install what tests use: Redis, PostgreSQL, Java, Kafka, Prometheus, Chromium
	@deploy/dev/install.sh

# What a cold module cache lacks is fetched before the tests, whose time limits are not meant for that.
.PHONY: modules
modules:
	@go mod download
	@kustomize=$(call tool,kustomize) && [[ -x $$kustomize ]]

.PHONY: test
test: install modules ## every test, those on real servers included
	@# Two packages' servers at a time, and more tests of each than there are processors: they mostly wait for servers. A broker of
	@# a test ends before the JVM's second compiler has earned back what it costs. make vet looks for more than go test would.
	GRANTER_DEV_KAFKA_JVM=-XX:TieredStopAtLevel=1 go test -vet=off -tags integration -count=1 -p 2 -parallel 3 -timeout $(TIMEOUT) $(value ARGS) $(PKG)

.PHONY: test-fast
test-fast: ## the tests that need no server
	go test -timeout $(TIMEOUT) $(value ARGS) $(PKG)

# A process that ends does not wait a second for races that might still come: the tests of the command line start hundreds. A
# simulated Cluster has the conformance of a single Redis once more: its goroutines are go-redis's, and the lists of deliberate bugs
# are held against all source by one goroutine; make test has both.
.PHONY: race
race: ## the tests that need no server, under the race detector
	GORACE=atexit_sleep_ms=0 go test -race -skip '^(TestOnMiniredisAsCluster|TestTheListsFitTheCode)$$' -vet=off -timeout $(TIMEOUT) $(value ARGS) $(PKG)

.PHONY: mutants
mutants: ## deliberate bugs that tests must notice: make mutants ARGS='-run ^source/'
	@go run ./deploy/mutants $(value ARGS)

.PHONY: lint
lint: vet fmt-check golangci sleep shell columns guarantee binary ## everything that judges the source without running it

.PHONY: vet
vet:
	go vet ./...
	go vet -tags integration,demo,man ./...

.PHONY: fmt-check
fmt-check:
	@files=$$(gofmt -l -s .); [[ -z $$files ]] || { echo "not formatted (run make fmt):"; echo "$$files"; exit 1; }

.PHONY: golangci
golangci:
	@golangci=$(call tool,golangci-lint) && "$$golangci" run

.PHONY: sleep
sleep:
	@.ci/sleep.sh

.PHONY: guarantee
guarantee:
	@.ci/guarantee.sh

.PHONY: columns
columns:
	@.ci/columns.sh

.PHONY: binary
binary:
	@.ci/binary.sh

.PHONY: shell
shell:
	@.ci/shell.sh

.PHONY: fmt
fmt: ## format the source
	@golangci=$(call tool,golangci-lint) && "$$golangci" fmt

.PHONY: fuzz
fuzz: ## every fuzz test, each for FUZZTIME
	@.ci/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: install ## measure on real servers; writes docs/performance.md (some 20 minutes)
	go run ./deploy/bench -docs docs $(value ARGS)

.PHONY: bench-claims
bench-claims: install ## measure damage claims, killed and restarted, on PostgreSQL and SQLite: make bench-claims ARGS='-scale 0.1'
	go run ./deploy/bench -claims $(value ARGS)

.PHONY: vuln
vuln: ## known vulnerabilities in what granter calls
	@.ci/vuln.sh

.PHONY: rehearsal
rehearsal: install ## the night of a rollout in two minutes, on real servers, with a real Prometheus
	go test -tags integration -count=1 -timeout $(TIMEOUT) -v -run '^TestRehearsal$$' ./cmd/granter

.PHONY: release
release: ## reproducible archives, SBOMs and checksums in dist/
	@deploy/release/build.sh $(VERSION)

.PHONY: image
image: ## build the container image (needs Docker)
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t granter:$(VERSION) .

.PHONY: e2e
e2e: install ## the built binary against real servers, as a user would
	@.ci/e2e.sh

.PHONY: up
up: ## start a Kafka and a Redis, and print how to reach them
	@deploy/dev/up.sh

.PHONY: down
down: ## stop them; their data stays (deploy/dev/down.sh --delete removes it)
	@deploy/dev/down.sh

.PHONY: ci
ci: ## everything that must pass before a change lands
	@.ci/run

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
	go clean -testcache
