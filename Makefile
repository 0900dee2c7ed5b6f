# eyrie: `make` prints this help. Every target can be run on a clean clone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X eyrie/appliance/obs.Version=$(VERSION) -X eyrie/appliance/obs.Commit=$(COMMIT)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ARGS ?=
FUZZ ?= 1000000
FUZZTIME ?= 10s
SIM_SECONDS ?= 3600
CUTS ?= 10000
CUTS_SEED ?= 0
KILLS ?= 200
SIM_SEED ?= 0

UI_SOURCES := $(shell find ui -path ui/node_modules -prune -o -path ui/dist -prune -o -type f -print 2>/dev/null)
UI_STAMP := ui/dist/.built
MODULES_STAMP := ui/node_modules/.installed

.PHONY: help run demo build sim test test-go test-race test-ui test-browser conform bench bench-quick fmt lint ui clean deps

help: ## print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build and serve on the embedded defaults (data in ./eyrie-data)
	./bin/eyrie serve $(ARGS)

demo: build ## the same, and recorded real runs are replayed live
	./bin/eyrie serve --demo $(ARGS)

build: bin/eyrie ## build bin/eyrie, one static file

.PHONY: bin/eyrie
bin/eyrie: $(UI_STAMP)
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/eyrie ./appliance

ui: $(UI_STAMP) ## build the front end into ui/dist

$(MODULES_STAMP): ui/package-lock.json ui/package.json
	cd ui && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(UI_STAMP): $(MODULES_STAMP) $(UI_SOURCES)
	cd ui && npm run --silent build
	@touch $@

deps: ## install what the tests need (as root), or say what to install
	@.ci/deps

test: deps lint build test-go test-ui test-browser test-race ## install what is missing, then run everything

# bench's tests hold a server to a rate: they run when no other package does.
BENCH := eyrie/bench

test-go: $(UI_STAMP) ## Go unit tests
	go test -timeout 20m $$(go list ./... | grep -vx $(BENCH))
	go test -timeout 20m $(BENCH)

test-race: $(UI_STAMP) ## Go tests under the race detector
	go test -timeout 20m -race -short $$(go list ./... | grep -vx $(BENCH))
	go test -timeout 20m -race -short $(BENCH)

sim: ## agents to views from seeds: SIM_SECONDS=3600, from SIM_SEED=0 on
	EYRIE_SIM_SECONDS=$(SIM_SECONDS) EYRIE_SIM_SEED=$(SIM_SEED) go test -count=1 -timeout 0 -v -run 'TestSimulation|TestOneSeed' ./appliance/sim

.PHONY: campaign
campaign: build ## CUTS=10000 power cuts of a simulated disk, KILLS=200 kill -9 under load
	EYRIE_CUTS=$(CUTS) EYRIE_CUTS_SEED=$(CUTS_SEED) go test -count=1 -timeout 0 -v -run '^TestPowerCuts$$' ./wal
	./bin/eyrie bench kill --times $(KILLS)

test-ui: $(MODULES_STAMP) ## unit tests of the front end
	cd ui && npm run --silent test

test-browser: build ## the appliance in a real browser, and real WebSocket clients
	cd ui && npm run --silent test:browser

conform: ## every case of the WebSocket conformance client (RFC 6455, RFC 7692)
	EYRIE_CONFORM=full go test -count=1 -v ./bench/conform

bench: build ## find what this machine bears: under 20 minutes, a report with plots
	./bin/eyrie bench capacity $(ARGS)

bench-quick: build ## the same in under three minutes, for a first look
	./bin/eyrie bench capacity --quick $(ARGS)

.PHONY: bench-repeat record
TIMES ?= 3
bench-repeat: build ## make bench TIMES=3, then whether the runs agree (ARGS=--quick: short ones)
	rm -rf bin/runs && mkdir bin/runs
	for i in $$(seq $(TIMES)); do ./bin/eyrie bench capacity --out bin/runs $(ARGS); done
	./bin/eyrie bench compare bin/runs

record: build ## measure a part into bench/results: PART=live, or PART="soak --workload flagship" NAME=flagship
	@test -n "$(PART)" || { echo 'PART= is missing: which part of eyrie bench'; exit 2; }
	./bin/eyrie bench $(PART) $(ARGS) | tee bench/results/$(or $(NAME),$(firstword $(PART))).txt

.PHONY: bench-info
bench-info: build ## bench-quick beside the last recorded one, for information
	rm -rf bin/info && mkdir bin/info
	./bin/eyrie bench capacity --quick --json --out bin/info > bin/quick.json
	./bin/eyrie bench compare bench/results/quick.json bin/quick.json

.PHONY: fuzz
fuzz: ## FUZZ inputs through the parsers' campaign, then each fuzz target for FUZZTIME
	EYRIE_FUZZ=$(FUZZ) go test -count 1 -timeout 0 -run '^TestCampaign$$' -v ./engine/wire
	@git grep -l '^func Fuzz' -- '*_test.go' | while read -r f; do \
	  grep -o '^func Fuzz[A-Za-z0-9]*' "$$f" | sed 's/^func //' | while read -r t; do \
	    echo "./$$(dirname "$$f") $$t"; (cd "$$(dirname "$$f")" && go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) .); \
	  done; done

fmt: ## format the Go code
	gofmt -w $$(git ls-files '*.go')

lint: $(MODULES_STAMP) ## vet, staticcheck, gofmt, TypeScript strict, oxlint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	GOOS=darwin go vet ./appliance ./engine/client ./engine/wire ./appliance/sources/...
	go run $(STATICCHECK) ./...
	cd ui && npm run --silent typecheck && npm run --silent lint

clean: ## remove what was built (not the data)
	rm -rf bin ui/dist/assets ui/dist/index.html $(UI_STAMP) ui/node_modules
