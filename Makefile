# `make run` and `make test` are all that is needed; `make` alone lists the rest.

PYTHON_IN_VENV := .venv/bin/python
TOGETHER := requirements.txt requirements-dev.txt requirements-peers.txt
# Nothing here may phone home, and a test must not depend on how many cores a machine has.
QUIET := GRADIO_ANALYTICS_ENABLED=False HF_HUB_DISABLE_TELEMETRY=1
TESTING := $(QUIET) HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1

.PHONY: help run test check bench gpu screenshots space results clean environment together chromium

help:
	@awk -F ': *[^#]*## ' '/^[a-z]+:.*## / { printf "make %-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: environment  ## the app on http://127.0.0.1:7860
	$(QUIET) $(PYTHON_IN_VENV) app.py

test: together chromium  ## all tests; ARGS="tests/engine -k overlap" for some
	$(TESTING) $(PYTHON_IN_VENV) -m pytest $(ARGS)

check: together  ## lint, format and types
	$(PYTHON_IN_VENV) -m ruff check
	$(PYTHON_IN_VENV) -m ruff format --check
	$(PYTHON_IN_VENV) -m mypy

bench: together  ## speed and memory, as ratios against peers in the same run
	$(QUIET) HF_HUB_OFFLINE=1 $(PYTHON_IN_VENV) -m benchmarks.bench $(ARGS)

gpu: together  ## prove CUDA, half precision and the out-of-memory path; needs an NVIDIA GPU
	$(TESTING) $(PYTHON_IN_VENV) -m pytest -m gpu || [ $$? -eq 5 ]  # 5: no test is marked gpu
	$(QUIET) HF_HUB_OFFLINE=1 $(PYTHON_IN_VENV) -m benchmarks.gpu

results: environment  ## measure the bundled models and write docs/results.md: make results DATA=folder
	@test -n "$(DATA)" || { echo "Say where the recordings are: make results DATA=folder (see docs/training.md)" >&2; exit 2; }
	$(QUIET) HF_HUB_OFFLINE=1 $(PYTHON_IN_VENV) -m benchmarks.results --data "$(DATA)" $(ARGS)

screenshots: together chromium  ## take the pictures of docs/screenshots again
	$(TESTING) $(PYTHON_IN_VENV) -m tools.screenshots

space:  ## gather what a Hugging Face Space or a Docker host needs: make space OUTPUT=folder
	@test -n "$(OUTPUT)" || { echo "Say where to: make space OUTPUT=folder" >&2; exit 2; }
	$(or $(PYTHON),python3) -m tools.space "$(OUTPUT)"

clean:  ## remove .venv and every cache; your runs stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find app.py separation tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +

environment:
	@sh tools/environment.sh run requirements.txt

together:
	@sh tools/environment.sh test $(TOGETHER)

chromium:
	@sh tools/chromium.sh
