# `make help` lists what there is.

CORPORA := $(abspath $(or $(SAFEURL_CORPORA),../shared/corpora))
SUPPORT := tests/support
SAFEURL := target/release/safeurl
# The classic builder is there with every engine; buildx is a package of its own.
BUILDKIT = $(shell docker buildx version >/dev/null 2>&1 && echo 1 || echo 0)

# A pasted URL is text: neither make nor the shell may read anything into it.
unexport URL
export SCAN_TARGET := $(value URL)

.PHONY: help demo build stage image scan test mutants-spec neighbours model chaos test-corpora fuzz lint pictures trace bench compiler engine systemd interop compose network minutes url corpora
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

compiler:
	@$(SUPPORT)/ensure-compiler.sh

engine:
	@$(SUPPORT)/ensure-engine.sh

systemd:
	@$(SUPPORT)/ensure-systemd.sh

interop:
	@$(SUPPORT)/ensure-interop.sh target/interop

stage: compiler ## Build the static fetcher and stage it for its image
	@images/fetcher/stage.sh

build: stage ## Build the release binary with the fetcher inside: target/release/safeurl
	cargo build --release --locked -p safeurl --features embed-fetcher

image: engine stage ## Build the image safeurl-fetcher:latest from the staged fetcher
	DOCKER_BUILDKIT=$(BUILDKIT) docker build -t safeurl-fetcher:latest images/fetcher

url:
	@test -n "$$SCAN_TARGET" || { echo "error: no URL; hint: make scan URL=https://example.com/" >&2; exit 2; }

scan: url engine build ## Scan one URL: make scan URL=https://example.com/
	@$(SAFEURL) scan -- "$$SCAN_TARGET"

demo: engine build ## Scan a small site on loopback that shows each way a scan can end, offline
	@$(SAFEURL) demo

compose:
	@$(SUPPORT)/ensure-programs.sh docker-compose

network:
	@$(SUPPORT)/ensure-programs.sh ip unshare

test: engine systemd interop compose network stage ## Run all tests against a real engine and a real database
	@$(SUPPORT)/ensure-tools.sh nextest
	@$(SUPPORT)/ensure-sqld.sh
	INSTA_UPDATE=no cargo nextest run --locked --workspace --features safeurl/embed-fetcher
	cargo test --locked --workspace --doc --quiet
	@$(SUPPORT)/ensure-programs.sh python3
	python3 -m unittest discover --start-directory tests/chaos --pattern '*_test.py'

# Before anything is built for it.
minutes:
	@case '$(MINUTES)' in *[!0-9.]* | *.*.* | '') ;; *[1-9]*) exit 0 ;; esac; \
	echo "error: for how many minutes? hint: make chaos MINUTES=2" >&2; exit 2
	@test "$$(id -u)" = 0 || { echo "error: chaos needs an engine of its own, which needs root; hint: sudo make chaos MINUTES=$(MINUTES)" >&2; exit 1; }

# Without the snapshot of the specification, which would show any change of it: the containers themselves have to.
mutants-spec: engine stage ## Change each decision of the container's specification and see that a container shows it; hours
	@$(SUPPORT)/ensure-tools.sh nextest mutants
	cargo mutants --package safeurl --file worker/src/sandbox/spec.rs --features safeurl/embed-fetcher \
	--test-tool nextest --minimum-test-timeout 600 --output target -- --locked --max-fail 1 --test hostile --test sandbox

# The program is built together with a test, so that it is the one that `make test` has built already.
# QUEUE=embedded|bullmq, DATABASE=file|sqld and POOL=none|waiting choose what else the seed does.
chaos: minutes stage ## Kill workers, gateways, engine, Redis and sqld for MINUTES=n, as root, and audit what is left; SEED=s repeats
	@$(SUPPORT)/ensure-programs.sh python3 strace mkfs.ext4 dockerd
	@$(SUPPORT)/ensure-interop.sh target/interop
	@$(SUPPORT)/ensure-sqld.sh
	cargo build --locked --workspace --features safeurl/embed-fetcher --bin safeurl --test layers
	PATH="$$PATH:/usr/sbin:/sbin" python3 tests/chaos/run.py --minutes "$(MINUTES)" --binary target/debug/safeurl \
	$(if $(SEED),--seed "$(SEED)") $(if $(QUEUE),--queue "$(QUEUE)") $(if $(DATABASE),--database "$(DATABASE)") \
	$(if $(POOL),--pool "$(POOL)")

pictures: engine stage ## Draw the pictures of the README anew, from what the program prints
	@$(SUPPORT)/ensure-tools.sh nextest
	UPDATE_PICTURES=1 cargo nextest run --locked -p safeurl --features embed-fetcher -E 'binary(pictures)'

# Different on each run and therefore compared with nothing.
trace: engine stage ## Draw where the time of one warm scan goes into the README, on a quiet machine
	cargo test --locked --release -p safeurl --features embed-fetcher --test pictures -- --ignored where_the_time

# By the wall clock and therefore no test: whatever else the machine does is measured too.
neighbours: engine stage ## Measure a normal scan alone and beside four hostile ones, on a quiet machine
	cargo test --locked --release -p safeurl --features embed-fetcher --test hostile-servers --test hostile -- \
	--ignored --nocapture how_long_a_normal_scan_takes

# Databases are made in the folder DIR, on whose disk they are measured.
bench: engine build ## Measure scans, queue, memory, fetcher and gateway beside docker run, the bare engine and the usual worker in Node; DIR=folder
	@$(SUPPORT)/ensure-programs.sh python3
	@$(SUPPORT)/ensure-interop.sh target/interop
	@$(SUPPORT)/ensure-rivals.sh target/bench/node
	python3 tests/bench/run.py --binary $(SAFEURL) --rivals target/bench/node --output target/bench/bench.json $(if $(DIR),--dir "$(DIR)")

corpora:
	@test -d "$(CORPORA)" || { echo "error: no corpora at $(CORPORA); hint: SAFEURL_CORPORA=/path/to/corpora make test-corpora" >&2; exit 1; }

model: compiler ## Check every order of crashes, lost leases and lost answers in a small world
	@cargo test --locked --profile model -p safeurl --test model -- --ignored --nocapture --test-threads 1

test-corpora: corpora engine network stage ## Run the tests over the corpora in SAFEURL_CORPORA (default ../shared/corpora)
	@$(SUPPORT)/ensure-tools.sh nextest
	@rm -rf target/corpora
	python=$$($(SUPPORT)/ensure-html5lib.sh target/python) && \
	SAFEURL_CORPORA="$(CORPORA)" CORPORA_PYTHON="$$(pwd)/$$python" \
	cargo nextest run --locked -p safeurl -p safeurl-fetcher --features safeurl/embed-fetcher,safeurl/corpora,safeurl-fetcher/corpora --profile corpora -E 'binary(/^corpora/)'
	@$(SUPPORT)/corpora-table.sh target/corpora

# By default each target for ten minutes. What it learns is kept in target/fuzz/corpus, findings in target/fuzz/findings.
fuzz: compiler ## Run the fuzz targets with cargo-fuzz on the nightly toolchain: TARGET=name for one, MINUTES=n for each, JOBS=n at once
	@$(SUPPORT)/ensure-tools.sh fuzz
	@tests/fuzz/run.sh "$(MINUTES)" $(TARGET)

lint: stage ## Formatting, clippy, documentation, dependencies
	@$(SUPPORT)/ensure-tools.sh deny
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
	cargo deny --log-level error check bans licenses sources
