# Every task of the project by one word; the work itself is in scripts/.
# `make help` lists them.

# A toolchain that `setup` has just installed is found without a new login.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

.PHONY: help setup build iso dist run test fuzz lint bench cases lock clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup: ## install what all tasks need; each installs its own when it runs
	@scripts/setup

# What one task needs: packages, Rust, cargo tools. Nothing happens when all of it is there.
setup-%:
	@scripts/setup $*

build: setup-build ## the static program alone: build/lifeboat
	@scripts/build-program

iso: setup-iso build ## the boot medium: build/lifeboat.iso
	@scripts/build-iso

dist: setup-dist build ## a release in build/dist: program, medium, manual pages, SBOM, sums; only with exactly what is locked
	@scripts/build-dist

run: setup-run iso ## boot the medium in QEMU, in this terminal, with two demo disks
	@scripts/make-demo-disks
	@scripts/run-qemu

test: setup-test iso ## all tests, among them those that boot the medium in QEMU
	@scripts/make-test-debian
	@scripts/fetch-foreign-images
	@scripts/fetch-servers
	@scripts/fuzz 1
	@cargo nextest run --cargo-quiet $(if $(CI),--profile ci)

MINUTES ?= 10
DISKS ?= 100000
fuzz: setup-fuzz ## fuzz the parsers of foreign bytes for MINUTES=10 each, then DISKS=100000 odd disks; or only TARGETS="ext ntfs"
	@scripts/fuzz $$(($(MINUTES) * 60)) $(TARGETS)
	@$(if $(TARGETS),,LIFEBOAT_ODD_DISKS=$(DISKS) cargo nextest run --cargo-quiet --release --profile fuzz --test cli odd_disks)

lint: setup-lint ## formatting, clippy, dependency rules, shellcheck
	@scripts/lint

bench: setup-bench build ## measure beside partclone, restic, fsarchiver and the floors; `cargo bench` measures the inner loops
	@scripts/bench

cases: build ## run the case scripts of CASES=FOLDER, or only those named in NAMES="..."
	@scripts/run-cases $(NAMES)

lock: setup-iso ## take the newest Debian packages into initramfs/packages.lock
	@scripts/lock-packages

clean: ## remove everything that was built
	rm -rf build target rescue-app/fuzz/target
