# SPDX-License-Identifier: Apache-2.0
# Thin verbs over meson and the scripts in tools/. `make help` lists them.
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: help build demo demo-engine test test-csi-sanity test-csi-sanity-asan test-csi-sanity-guest test-csi-sanity-lvm csi-sanity-on valgrind-grpc image-check test-k8s test-k8s-uml test-kube-faults test-upgrade-versions check lint asan tsan sim fuzz guest uml-kernel bench install deb deb-check clean deps crash kill upgrade

help:
	@sed -n 's/^## //p' Makefile

## make build   install what the build needs, build everything into build/
build: deps
	@tools/build $(BUILD)

deps:
	@tools/deps build

## make demo    install, build, start all of it on this machine: a volume, verified I/O, a snapshot, restored; make demo-engine: the engine alone, killed under load
demo: build
	@tools/demo $(BUILD)

demo-engine: build
	@tools/demo-engine $(BUILD)

## make test    install what the tests need, build, run all of them (what CI runs)
test:
	@tools/deps build test
	@tools/test

## make check   the quick tests only: lint, unit, simulator, functional, on one build
check: build
	@meson test -C $(BUILD) --print-errorlogs --no-rebuild

## make test-csi-sanity   csi-sanity, mount and block, over files and loop devices
test-csi-sanity: build csi-sanity-on

## make test-csi-sanity-asan   the same under ASan and UBSan;  make test-csi-sanity-guest: with the kernel's nvme-tcp, controller, agent and engine, in a guest;  make test-csi-sanity-lvm: over an LVM pool, thin and thick, likewise
test-csi-sanity-asan:
	@tools/deps build
	@tools/build --sanitize asan build-asan
	@$(MAKE) --no-print-directory BUILD=build-asan csi-sanity-on
csi-sanity-on:
	@for k in mount block; do tests/csi/sanity.sh $(CURDIR)/$(BUILD)/tests/csi/csi-mem $$k || exit; done
	@for k in mount block; do tests/csi/sanity.sh $(CURDIR)/$(BUILD)/tests/csi/csi-files $$k $(CURDIR)/$(BUILD)/src/controller/litepool-controller || exit; done
test-csi-sanity-guest: build
	@tests/csi/sanity-guest.sh $(BUILD) csi-sanity
test-csi-sanity-lvm: build
	@tests/csi/sanity-guest.sh $(BUILD) csi-sanity-lvm

## make valgrind-grpc   the gRPC server under valgrind, called by gRPC's own client
valgrind-grpc: build
	@WITH_VALGRIND=1 tests/unit/grpc/interop.py $(BUILD)/tests/unit/grpc/echo-serve

## make test-kube-faults   controller, agent and CSI driver on a kube-apiserver in trouble: late, 409, 410, 429, 5xx, answers lost, away
test-kube-faults: build
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs kube-faults

## make image-check   the Dockerfile's steps in chroots, without a container engine (as root, minutes)
image-check:
	@tools/image-check

## make test-k8s   LitePool on a whole Kubernetes of this machine: real kubelets, containerd, sidecars (as root; builds Kubernetes the first time);  ONLY=cycle|database|chaos|faults, CHAOS=all
test-k8s: build
	@CHAOS=$(or $(CHAOS),once) tools/test-k8s $(BUILD)

## make test-k8s-uml   a volume's life on nodes in User Mode Linux, with a real kernel's nvme-tcp, kubelet, containerd and driver in them (as root; 10 minutes of a processor more, once)
test-k8s-uml: build uml-kernel
	@SCRIPT=uml.sh tools/test-k8s $(BUILD)

## make lint    include law, style, clang-format, clang-tidy, cppcheck
lint:
	@tools/deps build test
	@tools/lint

## make asan    unit, simulator and functional tests under ASan and UBSan;  make tsan: under TSan
asan tsan:
	@tools/deps build
	@tools/build --sanitize $@ build-$@
	@meson test -C build-$@ --print-errorlogs --no-rebuild

## make sim     the simulator with random seeds, SECONDS=600 SEED=S
sim: build
	@tools/sim-soak $(BUILD) $(or $(SECONDS),600) $(SEED)

## make crash   power cuts against the volume store: CUTS=1000000 SEED=S; prints what replays a failure
crash: build
	@tools/crash $(BUILD) $(or $(CUTS),1000000) $(SEED)

## make fuzz    libFuzzer on every target, SECONDS=600 each, SEED=S
fuzz:
	@tools/deps build test
	@tools/fuzz $(or $(SECONDS),600)

## make guest   the tests with a real Linux kernel as host;  KILLS=100 UPGRADES=100 for the long run
guest: build
	@tools/deps test
	@tests/guest/run --build $(BUILD) --kills $(or $(KILLS),20) --upgrades $(or $(UPGRADES),5)

## make uml-kernel   a User Mode Linux kernel for guests without emulation (tests/guest/run --suite uml): 10 minutes of a processor, once
uml-kernel:
	@tools/deps uml
	@tests/guest/lab/mkuml.sh

## make kill KILLS=1000     kill -9 of an engine with a pool under verified I/O
kill: build
	@LITEPOOL_KILLS=$(or $(KILLS),200) LITEPOOL_BUILD=$(abspath $(BUILD)) LITEPOOL_SOURCE=$(CURDIR) bash tests/func/store-kill-loop.sh

## make upgrade UPGRADES=100   hot upgrades in a row with 64 connections, a fifth of them with 1000, and kill -9 at each step of one (minutes)
upgrade: export LITEPOOL_BUILD = $(abspath $(BUILD))
upgrade: export LITEPOOL_SOURCE = $(CURDIR)
upgrade: build
	@LITEPOOL_UPGRADES=$(or $(UPGRADES),100) bash tests/func/upgrade.sh
	@LITEPOOL_UPGRADES=$$(($(or $(UPGRADES),100) / 5)) LITEPOOL_CONNS=1000 bash tests/func/upgrade.sh
	@LITEPOOL_STEPS=all bash tests/func/upgrade-kill.sh
	@LITEPOOL_STEPS=all bash tests/func/upgrade-agent.sh

## make test-upgrade-versions   hot upgrades from versions that are older, and back, under verified I/O; builds them (minutes);  VERSIONS="COMMIT ..."
test-upgrade-versions: build
	@LITEPOOL_VERSIONS="$(VERSIONS)" LITEPOOL_BUILD=$(abspath $(BUILD)) LITEPOOL_SOURCE=$(CURDIR) bash tests/func/upgrade-versions.sh

## make bench   every benchmark; tools/bench NAME for one
bench: build
	@tools/deps bench
	@tools/bench all

## make deb     a Debian package in build-deb/;  make deb-check: installs it in a clean chroot (as root, minutes)
deb: deps
	@tools/package build-deb

deb-check: deb
	@tools/package --check build-deb/litepool_*.deb

## make install DESTDIR=, prefix as meson was told
install: build
	@meson install -C $(BUILD)

clean:
	rm -rf build build-*
