# Hansard: what can be done here.
#
#   make demo      build it, record a real session, replay it, prove it, into a file and with a service
#                  that it starts and ends; says what to look at
#                  (DEMO_EXIT=1 make demo: checks itself and ends, needs no terminal)
#   make test      install what the tests need (Debian packages; says which; root or sudo), run all
#   make lint      formatting, clippy, licences and crates that come along, rules of the tree
#
#   make web       build the application in web/ anew into web/dist, which is committed (Node 20.19 or later)
#
#   make screenshots  the demo, looked at in Chromium: pictures of the application into target/pictures
#
#   make bench     measure against script, tlog-rec, asciinema and a bare pty (about 15 minutes)
#   make bench-service  what the service takes, keeps and lists in a second (about four minutes)
#   make bench-search   what full text costs, and how soon it answers (about ten minutes)
#   make bench-live     what viewers of a session cost it, how late they see it (about ten minutes)
#   make bench-browser  a recording of 24 hours and 2 GB in Chromium (root; about a quarter of an hour)
#   make bench-login    what a login costs that the daemon holds (root; a few minutes)
#   make bench-ssh      SSH node and proxy beside OpenSSH, near and far (root; about half an hour)
#   make bench-host     what host events cost, beside auditd and bpftrace (root; half an hour)
#   make test-openssh   OpenSSH's own tests that concern a server, against the SSH node (root; some minutes)
#   make test-kernels   tests of host events under Debian 12's own kernel, emulated (some minutes)
#   make torture   kill recorder, host and service, cut power and wires, over and over (hours)
#   make fuzz      every fuzz target for FUZZ_SECONDS (60) seconds
#   make peers     build asciinema 3 into .peers/, which tests and benches run beside ours
#   make ebpf      compile the programs that run in the kernel (clang-19) into ebpf/host.bpf.o
#   make golden    write the golden recordings anew (a new format version only)
#   make install   put hansard, hansard-shell, hansardd, its unit, man pages and completions under PREFIX (/usr/local)
#
# Variables: CARGO, FUZZ_SECONDS, PREFIX, DESTDIR.

CARGO ?= cargo
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
TARGET := $(or $(CARGO_TARGET_DIR),target)
DEBUG := $(TARGET)/debug/hansard
RELEASE := $(TARGET)/release/hansard
# Both programs, as the tests are told where they are.
DEBUG_BINS := HANSARD_BIN=$(DEBUG) HANSARDD_BIN=$(DEBUG)d
RELEASE_BINS := HANSARD_BIN=$(RELEASE) HANSARDD_BIN=$(RELEASE)d

.PHONY: help demo screenshots test lint web web-tools web-lint bench bench-service bench-search bench-live bench-browser bench-login bench-ssh bench-host test-clients test-kernels test-openssh torture fuzz peers golden ebpf install built release debug needs-%
.SILENT:

help:
	sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

release: needs-build
	$(CARGO) build --release --locked --quiet -p hansard -p hansardd

debug: needs-build
	$(CARGO) build --locked --quiet -p hansard -p hansardd

# What a machine must have for these, from Debian; installs what is missing and says so.
needs-%:
	scripts/needs.sh $*

demo: needs-demo release
	$(RELEASE_BINS) scripts/demo.sh

screenshots: needs-test web-tools release
	mkdir -p $(TARGET)/pictures
	SHOTS=$(abspath $(TARGET)/pictures) DEMO_EXIT=1 $(RELEASE_BINS) scripts/demo.sh

# The peers take minutes to build: they are built where nothing may be skipped, and otherwise used
# if `make peers` made them. Signals are default whoever started this: under `nohup` no shell could
# trap a hang-up, which several tests send.
test: needs-test debug web-tools test-clients $(if $(CI),peers)
	$(CARGO) check --locked --quiet --manifest-path fuzz/Cargo.toml --bins
	$(DEBUG_BINS) env --default-signal $(CARGO) test --workspace --locked --no-fail-fast

lint: needs-build web-lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked --quiet cargo-deny
	$(CARGO) deny --locked --log-level warn check -A unused-wrapper bans licenses sources
	$(CARGO) test --locked --quiet -p hansard-tests --test tidy

# What web/ is built and tested with, as its lock file says; no script of a package is run.
web-tools: web/node_modules/.package-lock.json

web/node_modules/.package-lock.json: web/package-lock.json
	scripts/needs.sh web
	cd web && npm ci --silent
	touch $@

# An SSH client of npm's that tests run, the same way.
test-clients: tests/npm/node_modules/.package-lock.json

tests/npm/node_modules/.package-lock.json: tests/npm/package-lock.json
	scripts/needs.sh web
	cd tests/npm && npm ci --silent
	touch $@

web: web-tools
	cd web && npm run --silent build

# Types and rules; and what is committed is what the sources make.
web-lint: web-tools
	cd web && npm run --silent check
	cd web && npm run --silent build -- --outDir $(abspath $(TARGET))/web-dist --emptyOutDir --logLevel warn
	diff -r web/dist $(TARGET)/web-dist || { echo "web/dist is not what web/ makes: make web" >&2; exit 1; }

# Everything beside everything else in one run: absolute figures drift from hour to hour.
bench: needs-bench release peers
	HANSARD=$(abspath $(RELEASE)) bench/run.sh
	echo "bench: writing, checking and decoding, without a disk"
	$(CARGO) run --release --locked --quiet -p hansard-core --example core_speed -- \
		$${PTYBENCH_DIR:-$${TMPDIR:-/tmp}/hansard-bench/work}/ansi.txt
	echo "bench: converting, each format, beside asciinema 3; and its memory (20 minutes in all)"
	HANSARD=$(abspath $(RELEASE)) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) python3 bench/formats.py speed
	HANSARD=$(abspath $(RELEASE)) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) python3 bench/formats.py memory
	echo "bench: building an index, against the emulator alone"
	$(CARGO) run --release --locked --quiet -p hansard-view --example index_vs_avt
	echo "bench: seeking in 24 hours and 2 GB"
	$(CARGO) run --release --locked --quiet -p hansard-view --example seek -- $(TARGET)/bench-seek
	echo "bench: heads, blobs, segments, rows and queries of the store"
	$(CARGO) run --release --locked --quiet -p hansard-store --example store_speed

bench-service:
	$(CARGO) build --release --locked --quiet -p hansardd --bins --examples
	python3 bench/service.py

bench-search: needs-bench
	$(CARGO) build --release --locked --quiet -p hansard-store --example full_text
	FULL_TEXT=$(abspath $(TARGET)/release/examples/full_text) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) \
		python3 bench/search.py

bench-live: needs-bench release
	HANSARD=$(abspath $(RELEASE)) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) python3 bench/live.py

# The recording is the one that `make bench` seeks in; whoever has it makes no other.
bench-browser: needs-bench release web-tools
	$(CARGO) build --release --locked --quiet -p hansardd --example spooled
	$(CARGO) run --release --locked --quiet -p hansard-view --example seek -- $(TARGET)/bench-seek 1
	HANSARD=$(abspath $(RELEASE)) SPOOLED=$(abspath $(TARGET)/release/examples/spooled) \
	RECORDING=$(abspath $(TARGET)/bench-seek/day.hansard) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) \
		python3 bench/browser.py

bench-login: needs-bench release
	PTYBENCH_DIR=$${PTYBENCH_DIR:-$${TMPDIR:-/tmp}/hansard-bench/work} \
	HANSARD=$(abspath $(RELEASE)) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) python3 bench/login.py

# Idle sessions are held by Debian's python3-asyncssh; without it they are left out.
bench-ssh: needs-bench release
	PTYBENCH_DIR=$${PTYBENCH_DIR:-$${TMPDIR:-/tmp}/hansard-bench/work} \
	HANSARD=$(abspath $(RELEASE)) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) python3 bench/ssh.py

# Peers that are not installed are left out: apt install auditd bpftrace.
bench-host: needs-bench release
	HANSARD=$(abspath $(RELEASE)) PTYBENCH_RESULTS=$(abspath bench/RESULTS.md) python3 bench/host_events.py

# Too long for `make test`. Those about much at a time are left out: an emulator is slow.
test-kernels: needs-kernels
	tests=$$($(CARGO) test --locked --no-run -p hansard-capture --test host 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$$/\1/p'); \
		scripts/test-kernels.sh "$$tests" --skip object --skip loss

# All of it; `make test` runs a share.
test-openssh: needs-test debug
	$(DEBUG_BINS) python3 tests/openssh/run.py

# The counts that a release must stand; `make test` runs a share of each.
torture: needs-test release
	HANSARD_TORTURE=1000000 $(CARGO) test --release --locked --quiet \
		-p hansard-core --test mutations -- --nocapture
	HANSARD_TORTURE=100000 $(CARGO) test --release --locked --quiet \
		-p hansard-record --test power_loss -- --nocapture
	HANSARD_TORTURE=1000 $(RELEASE_BINS) $(CARGO) test --release --locked --quiet \
		-p hansard-tests --test kill -- --nocapture
	HANSARD_TORTURE=500 $(CARGO) test --release --locked --quiet -p hansard-tests --test tlog_peer
	HANSARD_TORTURE=10000 $(CARGO) test --release --locked --quiet \
		-p hansard-store --test reindex -- --nocapture
	HANSARD_TORTURE=2000 $(CARGO) test --release --locked --quiet \
		-p hansard-store --test sqlite_kill --test archive_sigkill -- --nocapture
	HANSARD_TORTURE=200 $(CARGO) test --release --locked --quiet \
		-p hansard-store --test recall -- --nocapture
	HANSARD_TORTURE=2000 $(RELEASE_BINS) $(CARGO) test --release --locked --quiet \
		-p hansard-tests --test service_kill -- --nocapture
	HANSARD_TORTURE=200 $(RELEASE_BINS) $(CARGO) test --release --locked --quiet \
		-p hansard-tests --test login transfers
	HANSARD_TORTURE=1024 $(RELEASE_BINS) $(CARGO) test --release --locked --quiet \
		-p hansard-tests --test ssh_bytes -- --nocapture --test-threads=1
	HANSARD_TORTURE=100000 $(CARGO) test --release --locked --quiet -p hansard-capture --test host so_many
	HANSARD_TORTURE=600 $(RELEASE_BINS) $(CARGO) test --release --locked --quiet \
		-p hansard-tests --test service_net -- --nocapture

# The sanitizer's runtime is stable's own; only the flag that asks for it is not.
fuzz: needs-fuzz
	$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked --quiet cargo-fuzz
	for target in $$(cd fuzz/fuzz_targets && ls | sed 's/\.rs$$//'); do \
		echo "fuzz: $$target"; \
		(cd fuzz && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -timeout=20 -verbosity=0 \
			-print_final_stats=1 -rss_limit_mb=1024 -malloc_limit_mb=256 \
			-max_total_time=$(FUZZ_SECONDS)) || exit; \
	done

peers: .peers/bin/asciinema

.peers/bin/asciinema:
	echo "peers: building asciinema 3 into .peers/ (some minutes)"
	$(CARGO) install --locked --quiet --root .peers --version '^3' asciinema

# Deterministic: the result must be what is committed. See CONTRIBUTING.md before it is not.
golden:
	$(CARGO) run --quiet --locked -p hansard-core --example golden -- formats/golden/v1
	cd formats/golden/v1 && LC_ALL=C sha256sum *.hansard *.jsonl >SHA256SUMS

# The result is committed, so that building needs no clang; a test makes it again and compares.
ebpf: needs-test
	scripts/ebpf.sh ebpf/host.bpf.o

# What is built is installed as it is, so that `sudo make install` needs no Rust.
built:
	test -x $(RELEASE) -a -x $(RELEASE)d || $(MAKE) release

install: built
	install -D $(RELEASE) $(DESTDIR)$(PREFIX)/bin/hansard
	# The login shell: whoever cannot read it cannot look into its process either.
	install -m 711 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/hansard-shell
	install $(RELEASE)d $(DESTDIR)$(PREFIX)/bin/hansardd
	install -d $(DESTDIR)$(PREFIX)/share/doc/hansard/systemd
	install -m 644 crates/view/LICENSE-unifont docs/*.md $(DESTDIR)$(PREFIX)/share/doc/hansard
	# What hosts that record logins, or host events, add to the unit: nobody else needs it.
	install -m 644 packaging/systemd/*.conf packaging/systemd/hansard-logins.tmpfiles \
		$(DESTDIR)$(PREFIX)/share/doc/hansard/systemd
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed -e 's,/usr/bin/hansardd,$(PREFIX)/bin/hansardd,' -e 's,/usr/share/doc,$(PREFIX)/share/doc,' \
		packaging/systemd/hansardd.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/hansardd.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/hansardd.service
	install -D -m 644 packaging/systemd/hansard.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/hansard.conf
	install -D -m 644 packaging/systemd/hansard.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/hansard.conf
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8
	$(RELEASE) man $(DESTDIR)$(PREFIX)/share/man/man1
	$(RELEASE)d man $(DESTDIR)$(PREFIX)/share/man/man8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(RELEASE) completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/hansard
	$(RELEASE)d completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/hansardd
