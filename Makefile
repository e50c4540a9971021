# "make" lists the targets.

GO     ?= go
GOTOOL  = $(GO) tool -modfile=tools/go.mod
RELEASE = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  = $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
DATA   ?= ./data
PREFIX ?= /usr/local
PROGRAM = db_proxy_server
# All tests, by a command. The packages under test/ load servers, and run one after the other; on
# the other half of the processors run those of all other packages.
HALF = $(shell echo $$((($$(nproc) + 1) / 2)))
all-tests = $(1) -p $(HALF) $$($(GO) list ./... | grep -v /dbproxy/test/) & others=$$!; \
  $(1) -p 1 ./test/...; failed=$$?; wait $$others && exit $$failed

# Measures proxies: on a kind of store, and as stores and loads grow.
measure = mkdir -p bin && $(GO) test ./test/bench -v -count=1 -timeout 0 -run '^TestBench$$' \
  -measure $(1) -into $(CURDIR)/bin $(if $(BASE),-base '$(BASE)') $(if $(FOR),-lasts '$(FOR)') \
  $(if $(ROUNDS),-rounds '$(ROUNDS)') $(if $(PROFILES),-profiles '$(PROFILES)')
measure-growth = $(GO) test ./test/bench -v -count=1 -timeout 0 -run '^TestGrowth$$' \
  -pictures $(CURDIR)/docs/growth $(if $(FOR),-lasts '$(FOR)') $(if $(MOST),-most '$(MOST)') \
  $(if $(DIMENSIONS),-dimensions '$(DIMENSIONS)')

.DEFAULT_GOAL = help
.PHONY: help build install run test race faults \
  charsets galera soak lint fuzz bench bench-embedded bench-growth microbench generate generate-check man clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/dbproxy, one static binary
	@test -e bin/dbproxy || printf '%s\n' "The first build takes minutes, half of them for modernc.org/sqlite/lib." \
	  "Packages are named as they are compiled."
	CGO_ENABLED=0 $(GO) build -v -trimpath -buildvcs=false -ldflags '-s -w -X main.release=$(RELEASE) -X main.commit=$(COMMIT)' -o bin/dbproxy ./cmd/dbproxy

install: original-there man ## Install under PREFIX; ORIGINAL=DIR: as an original, too
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -m 755 bin/dbproxy '$(DESTDIR)$(PREFIX)/bin/dbproxy'
	install -m 644 bin/man/*.1 '$(DESTDIR)$(PREFIX)/share/man/man1'
ifdef ORIGINAL
	@to=$$(realpath -ms '$(PREFIX)/bin/dbproxy') && cd '$(ORIGINAL)' && \
	case $$(readlink $(PROGRAM) || ls $(PROGRAM) 2>/dev/null) in "" | */dbproxy) ;; \
	  *) test ! -e $(PROGRAM).original || { echo "$(PROGRAM) and $(PROGRAM).original are both there:" \
	    "remove the one that is not the original's" >&2; exit 1; }; \
	    mv -v $(PROGRAM) $(PROGRAM).original ;; \
	esac && ln -sfnv "$$to" $(PROGRAM)
else
	@echo "To have TeamTalk's scripts start it, with DIR the directory of $(PROGRAM):"
	@echo "make install $(if $(filter-out /usr/local,$(PREFIX)),PREFIX='$(PREFIX)' )ORIGINAL=DIR"
endif

.PHONY: original-there
original-there:
ifdef ORIGINAL
	@test -d '$(ORIGINAL)' || { echo "ORIGINAL=$(ORIGINAL): there is no such directory" >&2; exit 1; }
endif

run: build ## Serve a demo company on 127.0.0.1:10600, data in ./data
	bin/dbproxy serve --demo --data $(DATA)

test: ## Run all tests; installs by apt-get what they need
	@test/install-servers
	@$(call all-tests,$(GO) test -timeout 40m)

race: ## Run all tests with the race detector (needs gcc)
	@test/install-servers
	@$(call all-tests,CGO_ENABLED=1 $(GO) test -race -timeout 40m)

faults: ## Break MySQL, Redis, proxies (FAULT=TestX; RACE=1)
	@test/install-servers
	RACE=$(RACE) FAULTS=$(or $(FAULTS),full) $(GO) test ./test/faults ./test/crash ./test/soak \
	  -v -p 1 -timeout 60m $(if $(FAULT),-run '^($(FAULT))$$')

charsets: ## Try hostile text on servers that impose character sets
	@test/install-servers
	CHARSETS=all $(GO) test ./test/input -v -timeout 60m -run '^TestNastyTexts$$'

galera: ## Load on two nodes of a Galera, with faults (RACE=1)
	@test/install-servers
	RACE=$(RACE) FAULTS=full $(GO) test ./test/order ./test/crash ./test/faults ./test/soak \
	  ./test/rig/servers ./internal/records/... -v -count=1 -p 1 -parallel 1 -timeout 30m \
	  -run "^Test(Galera|Nodes?[A-Z])|^($$(awk -F '[ (]' '/^func Test/ { f = $$2 } \
	  /OnEngines\(t, / { print f }' test/*/*_test.go | sort -u | paste -sd'|'))$$/^galera$$"

soak: ## Half an hour of load and faults (SOAK=2m; RACE=1)
	@test/install-servers
	@mkdir -p bin
	RACE=$(RACE) $(GO) test ./test/soak -v -count=1 -timeout 0 -run '^TestSoak$$' \
	  -soak $(or $(SOAK),30m) -soakreport $(CURDIR)/bin/soak.md

lint: generate-check ## Check format, vet, staticcheck, widths, generated code
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' ':!internal/impb')); \
	 test -z "$$unformatted" || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GOTOOL) staticcheck ./...
	$(GO) -C tools vet ./... && $(GO) -C tools test ./... && $(GO) -C tools run ./linelength ..
	$(GO) mod tidy -diff
	$(GO) -C test/grammar vet ./... && $(GO) -C test/grammar mod tidy -diff

fuzz: ## Run each fuzzer for a minute (FUZZTIME=5m for longer)
	$(GO) test ./internal/pdu -run '^$$' -fuzz FuzzReader -fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 10x
	$(GO) test ./internal/command -run '^$$' -fuzz FuzzRequest -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./internal/admin -run '^$$' -fuzz FuzzReadCSV -fuzztime $(or $(FUZZTIME),1m)
	$(GO) test ./internal/config -run '^$$' -fuzz FuzzParse -fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 10x

bench: ## Measure on its own MySQL and Redis (BASE=REV: compare)
	@test/install-servers
	@$(call measure,mysql)

bench-embedded: ## Measure the embedded store (BASE=REV FOR=10s PROFILES=…)
	@$(call measure,embedded)

bench-growth: ## Plot cost against size (DIMENSIONS=… MOST=1000 FOR=10s)
	@test/install-servers
	@$(measure-growth)

microbench: ## Measure single steps (BEFORE=FILE: compare)
	@test/install-servers
	@mkdir -p bin
	@echo 'This takes some 4 minutes once benchstat is there. docs/benchmarks.md says what its units are.'
	@$(GOTOOL) benchstat -h >/dev/null 2>&1 || true # downloaded and built before anything is measured
	$(GO) test -run '^$$' -bench 'Reader|Echo|Decode|Encode|CommitRecord|Append|Reads' -benchmem \
	  -count 6 ./internal/pdu ./internal/server ./internal/command ./internal/records/... \
	  > bin/microbench.txt
	$(GOTOOL) benchstat $(BEFORE) bin/microbench.txt

generate: ## Make anew what is made from proto/, code and files
	$(GOTOOL) buf format -w
	$(GOTOOL) buf lint
	$(GOTOOL) buf generate
	$(GO) generate ./...

generate-check:
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	$(GOTOOL) buf lint && $(GOTOOL) buf generate -o "$$tmp" && \
	diff -r "$$tmp/internal/impb" internal/impb || \
	{ echo "internal/impb is not current: run 'make generate'"; exit 1; }

man: build ## Write the manual pages into bin/man
	$(GO) -C tools run ./man '$(CURDIR)/bin/dbproxy' '$(CURDIR)/bin/man'

clean: ## Remove what was built; data stays
	rm -rf bin
