# Everything a developer or CI does. `make` alone prints the list.
SHELL         := /bin/bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Named by its content, and only when it is built: the server restarts when drill changed, and only then.
IMAGE          = failoverdrill/drill:dev-$(shell sha256sum bin/drill | cut -c1-12)
GOLANGCI      := v2.15.0
K6            := v1.8.1
GOVULNCHECK   := v1.9.0
LAB           := test/lab/lab.sh
DEMO          := deploy/demo/demo.sh
CNPG          := test/lab/cnpg/cnpg.sh
export KUBECONFIG := $(CURDIR)/test/lab/kubeconfig

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/drill
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/failoverdrill/drill/internal/cli.version=$(VERSION)' -o bin/drill ./cmd/drill

image: build lab ## Build drill's container image and load it into the lab
	$(LAB) image $(IMAGE) deploy/image bin/drill

lab: ## Bring up the lab, a real kind cluster with three zones (idempotent)
	$(LAB) up

lab-down: ## Stop the lab; nothing is left running
	$(LAB) down

ALLOW ?= shop

install: image ## Install drill into the lab, allowed to drill namespace shop (or those of ALLOW)
	bin/drill install --image $(IMAGE) $(addprefix --allow ,$(ALLOW))

demo: ## The main job on real input: kill the primary of a real database and report; does all set-up itself
	$(MAKE) --no-print-directory lab
	$(DEMO) up base
	$(MAKE) --no-print-directory install
	bin/drill run drills/kill-primary.hcl --report json=bin/report.json

demo-schedule: ## A drill that runs by itself every 2 minutes, and what Prometheus says of its three runs (10 minutes)
	$(MAKE) --no-print-directory lab
	$(DEMO) up fast
	$(MAKE) --no-print-directory install
	deploy/demo/monitoring.sh up
	deploy/demo/schedule.sh

test: ## Unit tests, and a real PostgreSQL pair on loopback
	test/postgres/install.sh
	test/netns/install.sh
	go test -timeout 9m ./internal/measure # pure: nothing in it runs side by side, and its histories are many
	go test -race -timeout 9m $$(go list ./... | grep -vE '/internal/(measure|targets|agent|faults)$$')
	go test -race -timeout 9m ./internal/targets # alone: they time real servers
	go test -race -timeout 9m -exec $(CURDIR)/test/netns/as-root.sh ./internal/agent ./internal/faults # need root

# The rows of noise that make truth plays; one or some of them when they take turns: NOISE='none|late_0.5|busy'.
NOISE ?= .*

truth: ## The truth tests that take minutes: what drill publishes, against what a kernel or a server wrote down itself
	test/postgres/install.sh
	test/netns/install.sh
	go test -tags truth -count 1 -p 1 -timeout 20m -v -exec $(CURDIR)/test/netns/as-root.sh ./test/truth/... # one at a time: they measure time
	go test -tags truth -count 1 -timeout 5m -v -run TestALongRunStaysSmall ./internal/runner # 10 minutes of virtual time, and the memory that they take
	go test -tags truth -count 1 -timeout 10m -v -run '^(TestThreeHandsAgree|TestTheTableOfDefinitions)$$' ./internal/measure # 10,000 histories, and the simulation's scenes
	go test -tags truth -count 1 -timeout 10m -v -run '^TestTruth' -skip '^TestTruthNoise$$' ./internal/targets # against a real PostgreSQL pair
	go test -tags truth -count 1 -timeout 10m -v -run '^TestTruthNoise$$/^($(NOISE))$$' ./internal/targets # one row takes 50 s

bank: ## Set-ups with known truth, and what drill says of each; all of them, or PART=2/3 of those on real servers
	test/postgres/install.sh
	go test -tags bank -count 1 -timeout 20m -v -run '^TestLoopback$$' ./test/bank -part '$(PART)' # one at a time: they time real servers

bank-kind: shop ## The same, of those that need kubelets
	go test -tags e2e -count 1 -timeout 40m -v -run '^TestKind$$' ./test/bank -part '$(PART)'

cnpg: ## The same failover of a real CloudNativePG cluster, five times: the recovery times must agree (9 minutes; 15 the first time)
	$(MAKE) --no-print-directory lab
	$(DEMO) build # for its PostgreSQL
	trap '$(CNPG) down' EXIT; \
	$(CNPG) up; \
	$(MAKE) --no-print-directory install ALLOW=cnpg-shop; \
	go test -tags cnpg -count 1 -timeout 30m -v ./test/cnpg

attack: shop ## The attacks of docs/threat-model.md, each as the weakest role that could try it (about 6 minutes)
	go test -tags e2e -count 1 -timeout 20m -v ./test/attack

outage: shop ## The API server taken away from runners, at each phase, for 30 s to 7 minutes (about 30 minutes)
	go test -tags e2e -count 1 -timeout 40m -v -parallel 4 -run '^TestOutages$$' ./test/outage -cells '$(CELLS)'

kill: shop ## Runner, agent, leader, API server and kubelets killed, and stopped, at each phase of runs in kind (about 12 minutes)
	go test -tags e2e -count 1 -timeout 40m -parallel 16 -v -run '^TestKilled$$' ./test/kill -cells '$(CELLS)'

bench: .tools/k6-$(K6) ## What drill costs, beside other tools on the same work (12 minutes; the machine should do nothing else)
	test/postgres/install.sh
	K6=$(CURDIR)/$< go test -tags bench -count 1 -timeout 20m -v ./test/bench

.tools/k6-$(K6):
	GOBIN=$(CURDIR)/.tools go install go.k6.io/k6@$(K6)
	mv .tools/k6 $@

SEEDS ?= 1

torture: ## Whole runs in memory in which one write to the API goes wrong: every write, in every way, with SEEDS delays (docs/design/019)
	go test -count 1 -timeout 60m -v -run '^TestEveryWriteFailsOnce$$' ./internal/cli -seeds $(SEEDS)

scale: build ## What a server costs beside 1,000 to 5,000 records, 5,000 pods and 200 nodes, on an API server of its own (20 minutes)
	go test -tags bench -count 1 -timeout 60m -v -run TestScale ./test/scale

FUZZTIME ?= 600
FUZZED   := $(foreach p,github.com/failoverdrill/drill/internal/drillfile github.com/failoverdrill/drill/internal/schema github.com/hashicorp/hcl/v2/... github.com/zclconf/...,-gcflags=$(p)=-d=libfuzzer)

fuzz: ## Hand the loader of drill files what a fuzzer makes up, for FUZZTIME seconds in all (600)
	@found=$$(grep -hoE '^func Fuzz[A-Za-z]+' internal/drillfile/*_test.go internal/cli/*_test.go | wc -l); \
	for package in drillfile cli; do \
		go test -c -o bin/fuzz/$$package.test $(FUZZED) ./internal/$$package; \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z]+' internal/$$package/*_test.go | cut -c6-); do \
			echo "$$package $$target"; \
			(cd internal/$$package && ../../bin/fuzz/$$package.test -test.run '^$$' -test.fuzz "^$$target\$$" -test.parallel 1 -test.fuzzminimizetime 20x \
				-test.fuzztime $$(( $(FUZZTIME) / found ))s -test.fuzzcachedir "$$(go env GOCACHE)/fuzz/drill/$$package") || failed=1; \
		done; \
	done; \
	exit $${failed:-0}

smoke: shop ## What every CI run does in kind: drill's own parts, and the core of the end-to-end tests
	go test -tags e2e -count 1 -p 1 -timeout 15m -v ./internal/kube ./internal/server # one at a time: a test of policies takes them away
	$(call end-to-end,core)

e2e: shop ## The end-to-end tests, asserted on their reports; all of them, or PART=2/4. Reports and JUnit in .ci/out
	$(call end-to-end,$(or $(PART),all))

# Runs the tests that test/e2e/parts chooses, and prints which of them take another time than it expects.
define end-to-end
	@tests=$$(go run ./test/e2e/parts '$(1)'); echo "end-to-end tests, $(1): $$tests"; \
	go test -tags e2e -count 1 -timeout 40m -v -run "$$tests" ./test/e2e | tee bin/e2e.log; \
	go run ./test/e2e/parts check < bin/e2e.log
endef

shop: # The demo shop in the lab, and drill installed beside it
	$(MAKE) --no-print-directory lab
	$(DEMO) up fast
	$(LAB) load-all failoverdrill/patroni:demo # also to where runners are: psql looks at the Service from there
	$(MAKE) --no-print-directory install

lint: .tools/golangci-lint-$(GOLANGCI) ## golangci-lint, with depguard holding the import arrows
	$< run ./...

.tools/golangci-lint-$(GOLANGCI):
	GOBIN=$(CURDIR)/.tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv .tools/golangci-lint $@

# Not a part of .ci/run: it needs vuln.go.dev, or VULNDB, a copy of that database such as file:///path.
vulncheck: .tools/govulncheck-$(GOVULNCHECK) ## Known vulnerabilities that the code of drill reaches; needs vuln.go.dev
	$< $(addprefix -db ,$(VULNDB)) ./...

.tools/govulncheck-$(GOVULNCHECK):
	GOBIN=$(CURDIR)/.tools go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv .tools/govulncheck $@

fmt: ## Format the Go code
	gofmt -w cmd internal deploy test

reference: ## Write what docs/ takes from the tables of the language: arguments, kinds, functions
	go test ./internal/cli -run '^TestReference$$' -update

check: lint test ## What must hold before a push
	test -z "$$(gofmt -l cmd internal deploy test)"
	bin/drill validate drills
	bin/drill fmt --check --diff drills

.PHONY: help build image lab lab-down install demo demo-schedule test torture truth attack bank bank-kind cnpg outage kill bench scale fuzz smoke e2e shop lint vulncheck fmt reference check
