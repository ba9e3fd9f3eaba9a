# The road from a fresh clone to a tested tree. A bare `make` prints the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup system demo test test-pi wheel lint format lock proto clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Debian packages, each with a command that succeeds where it is there: the C compiler of the build
# machine, the emulated boards and their compiler, and the simulator of single blocks.
PACKAGES := g++ python3-venv gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm iverilog \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user gcc-riscv64-unknown-elf \
	qemu-system-misc cppcheck gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
has_g++ := command -v g++
has_python3-venv := $(PYTHON) -c 'import ensurepip, venv'
has_gcc-arm-none-eabi := command -v arm-none-eabi-gcc
has_libnewlib-arm-none-eabi := test -e "$$(arm-none-eabi-gcc -print-file-name=libc.a)"
has_qemu-system-arm := command -v qemu-system-arm
has_gcc-riscv64-unknown-elf := command -v riscv64-unknown-elf-gcc
has_qemu-system-misc := command -v qemu-system-riscv32
has_gcc-arm-linux-gnueabihf := command -v arm-linux-gnueabihf-gcc
has_libc6-dev-armhf-cross := test -e /usr/arm-linux-gnueabihf/lib/crt1.o
has_cppcheck := command -v cppcheck
has_iverilog := command -v iverilog
has_gcc-aarch64-linux-gnu := command -v aarch64-linux-gnu-gcc
has_libc6-dev-arm64-cross := test -e /usr/aarch64-linux-gnu/lib/crt1.o
has_qemu-user := command -v qemu-aarch64

help: ## print the targets
	@echo "midge: quantized and binarized networks on small machines"
	@echo
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: system $(VENV)/.installed ## make the environment .venv/ from requirements.lock

system: ## install the Debian packages that are missing (as root or by sudo without a password)
	@missing=; \
	$(foreach p,$(PACKAGES),{ $(has_$(p)); } >/dev/null 2>&1 || missing="$$missing $(p)"; ) \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then \
		echo "midge: missing here:$$missing; without apt-get install them by hand; tests that need them are skipped." >&2; exit 0; \
	elif [ "$$(id -u)" = 0 ]; then sudo=; \
	elif sudo -n true 2>/dev/null; then sudo="sudo -n"; \
	else \
		echo "midge: no right to install, so run: sudo apt-get install$$missing; until then tests that need them are skipped." >&2; exit 0; \
	fi; \
	echo "midge: installing$$missing" >&2; \
	apt="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3"; \
	for wait in 5 20 60 0; do $$apt update && break; sleep $$wait; done; \
	$$apt install -y --no-install-recommends $$missing >/dev/null </dev/null || \
		echo "midge: apt-get could not install$$missing; tests that need them are skipped." >&2

$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || \
		{ echo "midge: the environment needs Python 3.10, 3.11 or 3.12, and $(PYTHON) is $$($(PYTHON) --version 2>&1): name another, as in make setup PYTHON=python3.11" >&2; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --use-pep517 --requirement requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@mkdir -p .typing && ln -sfn .. .typing/midge
	@touch $@

demo: setup ## one model on every backend, with the same bits
	@$(BIN)/midge demo

# Work stealing starts with one contiguous half of the tests for each worker, so that neighbours share
# their fixtures, and evens out at the end.
test: setup ## run every test that needs no board, on two cores
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not board" $(ARGS)

test-pi: setup ## run the API and a compiled library in an AArch64 Python under emulation
	@tools/pi_smoke.sh $(abspath $(BIN)/python) $(WHEEL)

wheel: setup ## build a wheel in dist/ with kernels as machine code, for users without a compiler
	$(BIN)/python -m midge.tools.wheel -o dist

lint: setup ## check style, format and types
	@failed=0; for check in "ruff check ." "ruff format --check ." mypy; do \
		echo "$(BIN)/$$check"; $(BIN)/$$check || failed=1; \
	done; exit $$failed

format: setup ## write the format and the fixes that `make lint` asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The last step takes out the markers that hold everywhere: Linux, and Python below 3.13.
lock: $(VENV)/.locked ## resolve requirements.lock anew from pyproject.toml
	$(PIP) install --quiet uv
	{ sed '/^#/!d' requirements.lock; \
	  UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.10 --extra dev \
		--no-annotate --no-header --no-emit-index-url pyproject.toml | \
	  sed -E "s/ and sys_platform == 'linux'//g; s/python_full_version < '3\.13' and //g; s/ and python_full_version < '3\.13'//g; s/ ; python_full_version < '3\.13'$$//"; \
	} > $(VENV)/requirements.lock
	mv $(VENV)/requirements.lock requirements.lock

proto: setup ## generate the split protocol's Python from its .proto
	$(BIN)/python -m grpc_tools.protoc -I targets/split --python_out=targets/split inference.proto

clean: ## remove what building and testing left (the environment stays: rm -r .venv removes it)
	rm -rf build dist *.egg-info .typing .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage htmlcov
	find . \( -path ./.git -o -path ./$(VENV) \) -prune -o -type d \( -name __pycache__ -o -name sim_build \) -prune -exec rm -rf {} +
	rm -f $(VENV)/.installed
