# Each target sets up what it needs, is safe to repeat, and is quick the second time.
RECIPE ?= laptop
RUN ?= $(RECIPE)
JOBS ?= 2
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
ENV := .venv/bin/python
# Jupyter refuses to serve the root user, whom containers have, unless told.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: setup course test lab proofs

setup:
	@test -n "$(PYTHON)" || { echo "✗ Python 3.11 is missing; install it with your system's package manager (sudo apt-get install python3.11 python3.11-venv)" >&2; exit 1; }
	@$(PYTHON) tools/setup_environment.py

# The whole course without a browser: RECIPE=smoke in minutes, RECIPE=laptop with real text; RUN names the run.
course: setup
	@$(ENV) -m minillm course --recipe $(RECIPE) --run $(RUN)

# Every test, then every notebook strictly against its committed outputs. One thread a worker.
test: setup
	@OMP_NUM_THREADS=1 $(ENV) -m pytest -q -n $(JOBS) --dist loadfile \
	    --nbval --nbval-current-env --nbval-cell-timeout=600 tests notebooks $(PYTEST)

# What takes too long for every push: drills, races, double executions. Results go to bench/proofs.json and RESULTS.md.
proofs: setup
	@$(ENV) -m pytest -q -m proof tests $(PYTEST); proved=$$?; $(ENV) -m tools.results && exit $$proved

# JupyterLab on the notebooks.
lab: setup
	@$(ENV) -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_map.ipynb --ServerApp.port_retries=0 $(AS_ROOT) \
	    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
