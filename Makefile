# Everything below runs in the environment .venv, which the first target that needs it creates.
# For machines without ROS 2; with ROS 2 use rosdep, colcon and `ros2 launch` (README.md).

PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python

# Up to this version is known to work. On Linux the usual build brings CUDA, some gigabytes: where only a processor is
# wanted, give the address of PyTorch's index of such builds (pytorch.org names it) as TORCH_INDEX.
TORCH ?= torch>=2.6,<=2.13.0
TORCH_INDEX ?=

# A directory that already holds the face detector's file; without it, it comes from the package index.
ifneq ($(wildcard ../shared/models),)
export FER_MODEL_DIR ?= $(abspath ../shared/models)
endif

# A ROS installation that was sourced is another Python with other libraries: keep it away from this one.
ifdef AMENT_PREFIX_PATH
unexport PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
endif
unexport PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE

PACKAGES_STAMP := $(VENV)/.packages-installed
TRAINING_STAMP := $(VENV)/.training-installed
BUILD_STAMP := install/.built
MESSAGES_STAMP := $(VENV)/.messages-linked
MODELS_STAMP := $(VENV)/.models-fetched
TESTS_STAMP := $(VENV)/.test-tools-installed
DOCS_STAMP := $(VENV)/.docs-tools-installed
PIP := $(RUN) -m pip --disable-pip-version-check --no-input

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup training build models demo test test-quick test-oldest fuzz lint docs bench clean

help:
	@echo 'make demo    set up, run the node on a recorded clip and show what it sees (results in demo/)'
	@echo 'make test    set up and run the tests (ARGS="..." replaces the arguments of pytest)'
	@echo 'make test-quick  the tests that need neither ROS nor PyTorch, in less than 90 s'
	@echo 'make lint    ruff, mypy and codespell'
	@echo 'make docs    the pages and the main classes as HTML (in build/docs)'
	@echo 'make test-oldest  the tests that need no ROS, with the oldest versions of the packages'
	@echo 'make fuzz    thousands of mutated images, messages, models, bags and data files (ARGS="--seed 1")'
	@echo 'make bench   measure this machine (results in $(BENCH_JSON))'
	@echo 'make setup   only set up: .venv, the messages, the face detector'
	@echo 'make training  the packages of fer-train on top of that'
	@echo 'make build   only .venv and the ROS packages, after a change of a message'
	@echo 'make clean   remove what was built and the environment'

setup: build models
training: $(TRAINING_STAMP)
build: $(MESSAGES_STAMP)

# The robot's side, which is all the demo needs.
$(PACKAGES_STAMP): pyproject.toml tools/make_environment tools/fix_ros_wheels.py
	@python=$$(tools/check_prerequisites $(PYTHON)) && \
	  tools/step 'Installing packages into .venv (a minute or two the first time)' \
	    tools/make_environment "$$python" $(VENV)
	@touch $@

$(TRAINING_STAMP): $(PACKAGES_STAMP) tools/add_training
	@tools/step 'Installing PyTorch, the training packages and the test tools (some minutes the first time)' \
	  tools/add_training $(VENV) '$(TORCH)' $(TORCH_INDEX)
	@touch $@

$(BUILD_STAMP): $(PACKAGES_STAMP) package.xml CMakeLists.txt setup.cfg $(wildcard src/fer_msgs/*.* src/fer_msgs/msg/*.msg)
	@tools/step 'Building the ROS packages into install' \
	  tools/with_env colcon build --cmake-clean-cache --event-handlers console_direct+
	@touch $@

$(MESSAGES_STAMP): $(BUILD_STAMP) tools/link_messages.py
	@$(RUN) tools/link_messages.py install/fer_perception
	@touch $@

# Into the user's cache, so that .venv/bin/fer finds it without any variable set. Not being able to is no reason to stop:
# OpenCV's own detector serves, only worse. The next run tries again.
models: $(MODELS_STAMP)
$(MODELS_STAMP): $(MESSAGES_STAMP)
	@if tools/step 'Fetching the face detector' $(VENV)/bin/fer models fetch yunet $(if $(FER_MODEL_DIR),--force --from '$(FER_MODEL_DIR)') 2>/dev/null; then touch $@; else \
	  echo 'warning: no face detector fetched (offline?), going on with the weaker one of OpenCV' >&2; \
	  echo 'why: build/setup/Fetching_the_face_detector.log; try again with: make models' >&2; fi

demo: setup
	@$(RUN) -m fer_perception.demo --out demo

ARGS ?=
test: setup training
	@$(RUN) -m pytest $(ARGS)

# Without the parts that start processes, speak ROS or measure.
QUICK := $(filter-out %/ros %/benchmark %/demo %/cli %/replay,$(wildcard test/fer_perception/*))
test-quick: $(TESTS_STAMP)
	@$(RUN) -m pytest -m 'not ros and not slow' $(filter-out %/conftest.py %/__pycache__,$(QUICK)) $(ARGS)

$(TESTS_STAMP): $(PACKAGES_STAMP)
	@tools/step 'Installing the test tools' $(PIP) install --editable '.[ros,demo,test]'
	@touch $@

fuzz: setup training
	@$(RUN) test/fuzz $(ARGS)

test-oldest:
	@tools/test_oldest $(ARGS)

lint: build training
	@status=0; for check in 'ruff check' 'ruff format --check' mypy codespell; do $(VENV)/bin/$$check || status=1; done; exit $$status

docs: $(DOCS_STAMP)
	@$(RUN) -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/docs
	@echo 'build/docs/index.html'

$(DOCS_STAMP): $(PACKAGES_STAMP)
	@tools/step 'Installing Sphinx' $(PIP) install --editable '.[ros,demo,docs]'
	@touch $@

BENCH_JSON ?= build/benchmark.json
bench: setup
	@mkdir -p $(dir $(BENCH_JSON))
	@$(VENV)/bin/fer benchmark --json $(BENCH_JSON)

clean:
	rm -rf $(VENV) build install log
