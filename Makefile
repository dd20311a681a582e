# gons. `make` builds, `make try` shows, `make test` proves, `make install` installs; the rest is for developers.

PREFIX ?= /usr
DESTDIR ?=
GO = $(shell scripts/find-go)
CC ?= gcc

# Where the distribution's libpam looks for modules, whatever PREFIX is: /usr/lib/x86_64-linux-gnu/security on Debian.
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
PAM_DIRS := $(if $(MULTIARCH),/usr/lib/$(MULTIARCH)/security) /usr/lib64/security /usr/lib/security
PAM_MODULE_DIR ?= $(patsubst %/pam_permit.so,%,$(firstword $(wildcard $(PAM_DIRS:=/pam_permit.so)) $(PAM_DIRS)))
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
LIBEXECDIR ?= $(PREFIX)/libexec/gons
MANDIR = $(DESTDIR)$(PREFIX)/share/man
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
# Where a distribution's own namespace.conf lies, as linux-pam was configured with --enable-vendordir; empty for nowhere.
VENDORDIR ?= /usr/share/pam/security
UNITS = gons-boot.service gons-clean.service gons-clean.timer
EXAMPLEDIR = $(DESTDIR)$(PREFIX)/share/doc/gons/examples

SHAREDIR = $(DESTDIR)$(PREFIX)/share
# What each shell calls its completions, as distributions place them.
COMPLETIONS = build/completion/gons.bash build/completion/gons.zsh build/completion/gons.fish
BASHDIR = $(SHAREDIR)/bash-completion/completions
ZSHDIR ?= $(SHAREDIR)/zsh/vendor-completions
FISHDIR = $(SHAREDIR)/fish/vendor_completions.d

VERSION := $(shell cat VERSION)
GOFLAGS_ALL = -trimpath
LDFLAGS_ALL = -s -w -X gons/internal/config.vendorDir=$(VENDORDIR)
MODULE_LDFLAGS = $(LDFLAGS_ALL) -extldflags '-Wl,-T,$(CURDIR)/pam_gons/deferred.ld -Wl,--version-script=$(CURDIR)/pam_gons/exports.map'
GO_SOURCES := $(shell find cmd internal pam_gons -name '*.go' -o -name '*.c' -o -name '*.h' -o -name '*.s') go.mod go.sum

.PHONY: all try test test-long test-sanitized test-selinux test-vm testhost bench install uninstall lint audit fmt clean setup-build setup-try setup-test setup-vm

all: build/pam_gons.so build/gons build/gons-try build/newns $(COMPLETIONS)

# The check belongs to the build: a module that would start Go in a host must not come to be.
build/pam_gons.so: $(GO_SOURCES) pam_gons/deferred.ld pam_gons/exports.map scripts/check-module
	$(GO) build $(GOFLAGS_ALL) -buildmode=c-shared -ldflags "$(MODULE_LDFLAGS)" -o $@.new ./pam_gons
	rm -f build/pam_gons.so.h build/pam_gons.h build/pam_gons.so.new.h
	scripts/check-module $@.new
	mv $@.new $@

build/gons: $(GO_SOURCES) VERSION
	$(GO) build $(GOFLAGS_ALL) -ldflags "$(LDFLAGS_ALL) -X main.version=$(VERSION) -X main.libexecDir=$(LIBEXECDIR)" -o $@ ./cmd/gons

# A program of its own, so that gons needn't load libpam.
build/gons-try: $(GO_SOURCES)
	$(GO) build $(GOFLAGS_ALL) -ldflags "$(LDFLAGS_ALL)" -o $@ ./cmd/gons-try

# gons run as a program of its own: static and small, for most of its time is its start. gons_entry, its first instruction, is
# internal/entry's, which has one for these machines.
ENTRY = $(if $(filter amd64 arm64,$(shell $(GO) env GOARCH)),-E gons_entry)
build/newns: $(GO_SOURCES) VERSION
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_ALL) -ldflags "$(LDFLAGS_ALL) $(ENTRY)" -o $@ ./cmd/newns
build/completion/gons.%: build/gons
	mkdir -p build/completion
	build/gons completion $* >$@.new
	mv $@.new $@

setup-build setup-try setup-test setup-vm: setup-%:
	@scripts/setup $*

try: setup-try
	@$(MAKE) --no-print-directory -s all
	@scripts/try

test: setup-test
	$(MAKE) --no-print-directory all testhost lint
	$(GO) vet ./...
	$(GO) test -count=1 -timeout $(if $(GONS_LONG),6h,40m) -p 1 ./...
	$(GO) test -count=1 -timeout 40m -p 1 -tags faults -run 'Faults|Kills' ./internal/...

# What make test does a few times, as often as it is promised: hours.
test-long: ; @GONS_LONG=1 $(MAKE) --no-print-directory test

# An emulated machine with SELinux enforcing: minutes, and packages that the other tests do without.
test-selinux: setup-vm
	$(MAKE) --no-print-directory all
	GONS_TEST_SELINUX=1 $(GO) test -count=1 -timeout 40m -v ./tests/selinux

# Whole machines, every case: a table at the end, what failed in build/vm/logs. CASES=regexp picks some, as `go test -run` does.
test-vm: setup-vm
	$(MAKE) --no-print-directory -s all
	GO=$(GO) tests/vm/matrix.sh $(if $(CASES),'$(CASES)')

# The gate and pamhost under AddressSanitizer and UndefinedBehaviorSanitizer. Left out is what can't be under them: hosts that
# are no pamhost, and limits on memory.
SANITIZE = -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANITIZED = TestAFailedOpen|TestAHostThatCant|TestAHostWithout|TestASessionLives|TestAWorkerThatDies|TestAWorkingDirectory|TestAnUnknownUser|TestCloseRemovesTheTmpdir|TestEnvironment|TestHostileFiles|TestOpeningMoves|TestOptionalLeaves|TestPamEnd|TestScripts?That|TestTheGoRuntimeNever|TestTheHostHears|TestThreadsOpen|TestWrong
test-sanitized: setup-test build/gons
	mkdir -p build/sanitized && cp build/gons build/sanitized/
	CGO_CFLAGS="$(SANITIZE)" CGO_LDFLAGS="-fsanitize=address,undefined" $(GO) build $(GOFLAGS_ALL) -buildmode=c-shared -ldflags "$(MODULE_LDFLAGS)" -o build/sanitized/pam_gons.so ./pam_gons
	$(MAKE) --no-print-directory -s -C tests/pamhost OUT=../../build/sanitized/pamhost CFLAGS="$(SANITIZE)"
	GONS_TEST_BUILD=build/sanitized $(GO) test -count=1 -run '$(SANITIZED)' -skip '/limit|/mounts' ./tests/pam

bench: setup-test
	@$(MAKE) --no-print-directory -s all testhost build/first
	@$(GO) run ./bench

# What bench/start.go has started.
build/first: bench/first/first.c
	$(CC) -O2 -static -nostdlib -o $@ $<

# The PAM application that tests and measurements drive.
testhost:
	@$(MAKE) --no-print-directory -s -C tests/pamhost

lint:
	scripts/lint

# What looks at the code from outside; both are fetched.
audit:
	$(GO) run honnef.co/go/tools/cmd/staticcheck@latest ./...
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

fmt:
	gofmt -w $$(git ls-files '*.go')

install: all
	install -D -m 0644 build/pam_gons.so $(DESTDIR)$(PAM_MODULE_DIR)/pam_gons.so
	install -D -m 0755 build/gons $(SBINDIR)/gons
	install -D -m 0755 build/gons-try $(DESTDIR)$(LIBEXECDIR)/gons-try
	install -D -m 0755 build/newns $(DESTDIR)$(PREFIX)/bin/newns
	install -D -m 0644 build/completion/gons.bash $(BASHDIR)/gons
	install -D -m 0644 build/completion/gons.zsh $(ZSHDIR)/_gons
	install -D -m 0644 build/completion/gons.fish $(FISHDIR)/gons.fish
	install -d $(UNITDIR)
	for unit in $(UNITS); do \
	  sed 's|/usr/sbin/gons|$(PREFIX)/sbin/gons|' contrib/systemd/$$unit >$(UNITDIR)/$$unit && \
	  chmod 0644 $(UNITDIR)/$$unit || exit 1; done
	for page in docs/man/*.[1-8]; do \
	  install -D -m 0644 $$page $(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; done
	ln -sf gons-run.1 $(MANDIR)/man1/newns.1
	for script in htcondor/gons-job-wrapper slurm/gons-task slurm/task_prolog.sh slurm/epilog.sh volume/gons-volume; do \
	  install -D -m 0755 contrib/$$script $(EXAMPLEDIR)/$$script || exit 1; done
	for file in gons.yaml rc.local selinux/gons.cil htcondor/gons.conf $(patsubst contrib/%,%,$(wildcard contrib/pam.d/*)); do \
	  install -D -m 0644 contrib/$$file $(EXAMPLEDIR)/$$file || exit 1; done

# The administrator's /etc/security/gons.yaml and PAM lines are theirs to remove: PAM lines first.
uninstall:
	rm -f $(DESTDIR)$(PAM_MODULE_DIR)/pam_gons.so $(SBINDIR)/gons $(DESTDIR)$(PREFIX)/bin/newns $(UNITS:%=$(UNITDIR)/%) $(BASHDIR)/gons $(ZSHDIR)/_gons $(FISHDIR)/gons.fish
	for page in docs/man/*.[1-8] newns.1; do rm -f $(MANDIR)/man$${page##*.}/$${page##*/}; done
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/gons $(DESTDIR)$(LIBEXECDIR)

clean:
	rm -rf build
