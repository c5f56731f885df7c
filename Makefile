# Every target sets up what is missing first; done once, that costs nothing.
PYTHON_IN_VENV = .venv/bin/python
# Where it is set, every start of Python compiles all of emu again; `make clean` removes what this writes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test figures lock clean distclean

help:
	@echo "make run        a spoken word through the network in an emulated Cortex-M4: python -m emu.run kws"
	@echo "make test       all tests, on all processors"
	@echo "make figures    the pages of kernels' figures, written anew: docs/kernel-figures.md, docs/growth.md"
	@echo "make setup      installs what is missing: compilers, .venv/, the native probe (PYTHON=... names the interpreter)"
	@echo "make lock       pins the newest versions of requirements.in in requirements.lock"
	@echo "make clean      removes what was built; make distclean: .venv/ too"

setup:
	@bash tools/setup.sh

run: setup
	@$(PYTHON_IN_VENV) -m emu.run kws

test: setup
	@$(PYTHON_IN_VENV) -m pytest -rs -n auto --dist worksteal

figures: setup
	@$(PYTHON_IN_VENV) -m emu.experiment figures --markdown docs/kernel-figures.md
	@$(PYTHON_IN_VENV) -m emu.experiment growth --markdown docs/growth.md

lock:
	@bash tools/lock.sh

clean:
	rm -rf build .pytest_cache .hypothesis .ruff_cache .venv/.thumbcycle-setup
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
