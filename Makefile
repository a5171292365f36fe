# So1s on one machine. `make` alone prints this help.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
BIN := .venv/bin
GENERATED := docs/events.md docs/asyncapi.json docs/settings.md docs/so1s-yaml.md docs/schemas deploy/chart/values.schema.json tests/contracts/schemas deploy/rules runtime/so1s_runtime/rpc/descriptors.py
# The interpreter that is here is used; none is downloaded.
export UV_PYTHON_DOWNLOADS := never
# Hard links fail between file systems and then print a warning for each package.
export UV_LINK_MODE := copy
# Where bytecode is not kept, each of a platform's processes compiles all of So1s again at its start.
unexport PYTHONDONTWRITEBYTECODE

# A test waits more than it computes.
WORKERS ?= 4
# Files in the order of tests/scheduling.py, the longest first, and each to one process: it starts their parts once.
SHARED := --dist loadfile --no-loadscope-reorder
# Says something only where something is wrong.
QUIET = > .venv/check.txt 2>&1 || { cat .venv/check.txt; exit 1; }
# What so1s[service] brings to a pod, and boto3 its botocore.
BROUGHT := DEP003=aiokafka|alembic|botocore|faststream|httpx|prometheus_client|pydantic|pydantic_settings|sqlalchemy|starlette|structlog|yaml

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "So1s needs Python 3.11 or newer: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Every member's pyproject is a prerequisite, so that a new dependency is installed by the next command.
.venv/installed: $(UV) uv.lock pyproject.toml $(wildcard */pyproject.toml */*/pyproject.toml deploy/broker/*.go \
                 deploy/broker/go.* deploy/broker/hatch_build.py)
	@echo "installing what uv.lock names; the first time this takes a minute or two …"
	@$(UV) sync --quiet --frozen --all-packages --compile-bytecode --python $(PYTHON)
	@touch $@

.PHONY: install
install: .venv/installed ## Install everything into .venv

.PHONY: fix
fix: install ## Format and mend what the linter can mend
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: check
check: install ## Format, lint, types, imports, dependencies, spelling
	@$(BIN)/ruff format --check --quiet . || { echo "→ make fix"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ty check --quiet
	@$(BIN)/lint-imports --no-cache $(QUIET)
	@$(BIN)/codespell
	@for member in shared runtime compiler deploy/local deploy/broker deploy/lab; do (cd $$member && $(CURDIR)/$(BIN)/deptry .) || exit 1; done $(QUIET)
	@for pod in $(dir $(wildcard services/*/pyproject.toml)); do (cd $$pod && \
	    $(CURDIR)/$(BIN)/deptry . --known-first-party services --per-rule-ignores "$(BROUGHT)") || exit 1; done $(QUIET)
	@echo "check: all good"

.PHONY: test
test: install ## Unit, property, contract, conformance and delivery tests, and the whole chain
	@$(BIN)/pytest -n $(WORKERS) $(SHARED)

.PHONY: test-faults
test-faults: install ## Kill every part at every step, and cut off what they lean on: the chain must complete
	@$(BIN)/pytest tests/faults -m faults

.PHONY: test-lab
test-lab: install ## Test against the real parts of a cluster; builds them first, which takes twenty minutes
	@$(BIN)/python -m so1s_lab setup --also cosign
	@$(BIN)/pytest tests/lab -m lab -n 2 $(SHARED)

.PHONY: test-keda
test-keda: install ## Scale by KEDA's own operator in the lab; builds it first, which takes ten minutes more
	@$(BIN)/python -m so1s_lab setup --also keda
	@$(BIN)/pytest tests/lab -m keda

.PHONY: test-chart
test-chart: install ## Install the chart in the lab by Helm, which is built first, and let a model serve there
	@$(BIN)/python -m so1s_lab setup --also helm
	@$(BIN)/pytest tests/lab -m chart

.PHONY: test-sandbox
test-sandbox: install ## Try a model in the builder's sandbox in a pod of the lab, with a containerd that is built first
	@$(BIN)/python -m so1s_lab setup --also containerd
	@$(BIN)/pytest tests/lab -m sandbox

.PHONY: test-models
test-models: install ## Train, build and serve each example of examples/models; writes the table of docs/models.md
	@SO1S_WRITE_MODELS=1 $(BIN)/pytest tests/models -m models

.PHONY: test-io
test-io: install ## Call models of each IO type directly, through Envoy and through Istio; writes its table of docs/models.md
	@$(BIN)/python -m so1s_lab setup
	@SO1S_WRITE_MODELS=1 $(BIN)/pytest tests/runtime/test_runtime_io_conformance.py tests/scenarios/test_io_types.py
	@SO1S_WRITE_MODELS=1 $(BIN)/pytest tests/lab/test_whole_chain.py -m lab -k io_type

.PHONY: test-clients
test-clients: install ## Call a server by Triton's own client, which is installed beside the rest
	@$(BIN)/pytest tests/runtime/triton -m clients

.PHONY: bench
bench: install ## Measure each part beside a peer or a limit of the machine (CLUSTER=lab: on a cluster); writes docs/benchmarks.md
	@$(if $(CLUSTER),$(BIN)/python -m so1s_lab setup)
	@$(BIN)/python -m tests.load.bench $(if $(CLUSTER),cluster)

.PHONY: load
load: install ## Load an endpoint while its operator works on it: no request may fail, the objective must hold
	@$(BIN)/pytest tests/load -m load -s

.PHONY: soak
soak: install ## Good and hostile callers on an inference server: its memory, sockets and threads must stay flat (MINUTES=10)
	@SO1S_SOAK_MINUTES=$(or $(MINUTES),10) $(BIN)/pytest tests/load/test_soak.py -m load -s

.PHONY: verify
verify: install ## Regenerate what is generated; fail where that changes the tree
	@$(BIN)/python docs/generate.py
	@$(BIN)/python -m services.deployer.rules
	@$(BIN)/python runtime/proto/generate.py
	@test -z "$$(git status --porcelain $(GENERATED))" || \
	  { git status --short $(GENERATED); echo "→ commit what was generated"; exit 1; }

.PHONY: demo
demo: install ## Run the main job on embedded parts, verify every step, clean up (CLUSTER=lab: on a real cluster)
	@$(if $(CLUSTER),$(BIN)/python -m so1s_lab setup)
	@$(BIN)/python -m $(if $(CLUSTER),so1s_lab,so1s_local).demo

.PHONY: up
up: install ## Keep the platform running on this machine until Ctrl-C (CONFIG=my.toml)
	@$(BIN)/python -m so1s_local up $(if $(CONFIG),--config $(CONFIG))

.PHONY: token
token: install ## Make a token for this machine's console (ACCOUNT=risk SCOPE=publish)
	@test -e .so1s/db/console.db || { echo "no platform was here yet: make up"; exit 1; }
	@SO1S_DATABASE_URL=sqlite+aiosqlite:///$(CURDIR)/.so1s/db/console.db \
	  $(BIN)/python -m services.console token create --account $(or $(ACCOUNT),risk) --scope $(or $(SCOPE),publish)

.PHONY: lab
lab: install ## Keep a real control plane, Istio and the other parts running until Ctrl-C
	@$(BIN)/python -m so1s_lab setup
	@$(BIN)/python -m so1s_lab up

.PHONY: images
images: install ## Make the image of every service (REGISTRY=host/prefix pushes them, TAG=…)
	@$(BIN)/python -m deploy.images $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(TAG),--tag $(TAG))

.PHONY: clean
clean: ## Remove what the other commands made
	@rm -rf .venv .tools .so1s .pytest_cache .ruff_cache .hypothesis
	@echo "removed what was installed and kept here; pip and uv have caches in your home, and make clean-lab removes the lab"

.PHONY: clean-lab
clean-lab: ## Remove what was built and downloaded for the lab
	@rm -rf .lab
