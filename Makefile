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
MANDIR = $(DESTDIR)$(PREFIX)/share/man
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
UNITS = gons-boot.service gons-clean.service gons-clean.timer
EXAMPLEDIR = $(DESTDIR)$(PREFIX)/share/doc/gons/examples

VERSION := $(shell cat VERSION)
GOFLAGS_ALL = -trimpath
MODULE_LDFLAGS = -s -w -extldflags '-Wl,-T,$(CURDIR)/pam_gons/deferred.ld -Wl,--version-script=$(CURDIR)/pam_gons/exports.map'
GO_SOURCES := $(shell find cmd internal pam_gons -name '*.go' -o -name '*.c' -o -name '*.h') go.mod go.sum

.PHONY: all try test testhost bench install uninstall lint fmt clean setup-build setup-try setup-test

all: build/pam_gons.so build/gons

# The check belongs to the build: a module that would start Go in a host must not come to be.
build/pam_gons.so: $(GO_SOURCES) pam_gons/deferred.ld pam_gons/exports.map scripts/check-module
	$(GO) build $(GOFLAGS_ALL) -buildmode=c-shared -ldflags "$(MODULE_LDFLAGS)" -o $@.new ./pam_gons
	rm -f build/pam_gons.so.h build/pam_gons.h build/pam_gons.so.new.h
	scripts/check-module $@.new
	mv $@.new $@

build/gons: $(GO_SOURCES) VERSION
	$(GO) build $(GOFLAGS_ALL) -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./cmd/gons

setup-build setup-try setup-test: setup-%:
	@scripts/setup $*

try: setup-try
	@$(MAKE) --no-print-directory -s all
	@scripts/try

test: setup-test
	$(MAKE) --no-print-directory all testhost lint
	$(GO) vet ./...
	$(GO) test -count=1 -timeout 40m -p 1 ./...

bench: setup-test
	@$(MAKE) --no-print-directory -s all testhost
	@$(GO) run ./bench

# The PAM application that tests and measurements drive.
testhost:
	@$(MAKE) --no-print-directory -s -C tests/pamhost

lint:
	scripts/lint

fmt:
	gofmt -w $$(git ls-files '*.go')

install: all
	install -D -m 0644 build/pam_gons.so $(DESTDIR)$(PAM_MODULE_DIR)/pam_gons.so
	install -D -m 0755 build/gons $(SBINDIR)/gons
	install -d $(UNITDIR)
	for unit in $(UNITS); do \
	  sed 's|/usr/sbin/gons|$(PREFIX)/sbin/gons|' contrib/systemd/$$unit >$(UNITDIR)/$$unit && \
	  chmod 0644 $(UNITDIR)/$$unit || exit 1; done
	for page in docs/man/*.[1-8]; do \
	  install -D -m 0644 $$page $(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; done
	for file in gons.yaml rc.local pam.d/sshd pam.d/login pam.d/su pam.d/cron pam.d/systemd-user; do \
	  install -D -m 0644 contrib/$$file $(EXAMPLEDIR)/$$file || exit 1; done

# The administrator's /etc/security/gons.yaml and PAM lines are theirs to remove: PAM lines first.
uninstall:
	rm -f $(DESTDIR)$(PAM_MODULE_DIR)/pam_gons.so $(SBINDIR)/gons $(UNITS:%=$(UNITDIR)/%)
	for page in docs/man/*.[1-8]; do rm -f $(MANDIR)/man$${page##*.}/$${page##*/}; done
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/gons

clean:
	rm -rf build
