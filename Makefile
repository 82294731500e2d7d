# `make book` and `make test` are all a reader needs; the rest is for daily work.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TORCH  ?= cpu
PYTHONS := gdln tests scripts course benchmarks book/_ext

.PHONY: FORCE help book test test-course test-lite lite pdf formats site assignments grade check notebooks graph lint format mutants bench guard test-latest linkcheck dist lock html-open clean

help:          ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 14

$(VENV)/done: FORCE
	@$(PYTHON) scripts/environment.py --torch $(TORCH)
FORCE:

book: $(VENV)/done  ## build the book strictly and say where it is; V=1 shows all it does
	@$(BIN)/python -X utf8 scripts/book.py $(if $(V),--verbose)

test: lint book  ## library, notebooks, book and browser, with pytest's own summary and the slowest twenty
	@$(BIN)/python -m tests.chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -n 2 --dist loadfile --durations=20 -m "not course and not lite" --doctest-modules gdln tests

test-course: $(VENV)/done  ## what of the problem sets takes minutes: every wrong answer, and mutants of the solutions
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -n 2 --durations=20 -m course tests/course

assignments: $(VENV)/done  ## problem sets to hand out, in _build/course; SEED=2027 changes the numbers
	@$(BIN)/python -m course.release $(SET) $(if $(SEED),--seed $(SEED))

grade: $(VENV)/done  ## grade what students handed in: SUBMISSIONS=folder [SET=race] [SEED=2027] [JOBS=2]
	@test -n "$(SUBMISSIONS)" || { echo "make grade SUBMISSIONS=folder [SET=race], with one file or sub-folder a student in the folder"; exit 1; }
	@$(BIN)/python -m course.grade "$(SUBMISSIONS)" $(if $(SET),--set $(SET)) $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))

check: lint    ## lint, floors, fast tests, notebooks in step: for daily work, without the book
	@$(BIN)/python scripts/make_notebooks.py --check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not browser and not course and not lite" tests \
	  --ignore=tests/test_book.py --ignore=tests/test_notebooks.py --ignore=tests/test_build.py --ignore=tests/test_binder.py \
	  --ignore=tests/test_finding.py --ignore=tests/test_numbers.py --ignore=tests/test_weight.py --ignore=tests/test_teaching.py

notebooks: $(VENV)/done  ## write the notebook beside each chapter; STUDENT=1: without solutions, in _build/students
	@$(BIN)/python scripts/make_notebooks.py $(if $(STUDENT),--students _build/students)

graph: $(VENV)/done  ## draw who imports whom in the library
	@$(BIN)/python scripts/make_graph.py

lint: $(VENV)/done  ## ruff, and its formatting
	@$(BIN)/ruff check $(PYTHONS) && $(BIN)/ruff format --check $(PYTHONS)
	@$(BIN)/python scripts/one_sentence_a_line.py --check

format: $(VENV)/done  ## let ruff rewrite, and put one sentence a line
	@$(BIN)/ruff check --fix $(PYTHONS); $(BIN)/ruff format $(PYTHONS); $(BIN)/python scripts/one_sentence_a_line.py

bench: $(VENV)/done  ## measure speed, one thread: the benchmarks, then the ratios and costs that the book shows
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest benchmarks --benchmark-sort=name --benchmark-columns=min,median,rounds -p no:xdist
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.report
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.costs

guard: $(VENV)/done  ## hold the ratios of times against those stored, at twice the tolerance
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.report --check

mutants: $(VENV)/done  ## change one token of each changed module at a time, and see whether the tests notice
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py $(MODULES)

test-latest:   ## the newest versions the ranges allow, in an environment of its own
	$(PYTHON) -m venv _build/latest
	_build/latest/bin/pip install -q -U -e '.[train,exact,cluster,book,test]'
	_build/latest/bin/python -m pytest -n 2 --dist loadfile tests -m "not browser and not course and not lite"

lite: $(VENV)/done  ## the site of notebooks that run in a browser, in _build/lite; PYODIDE=folder carries the runtime
	@$(BIN)/python scripts/make_lite.py $(if $(PYODIDE),--pyodide $(PYODIDE))

pdf: $(VENV)/done  ## the printed book, in _build/formats; needs TeX, and says which of it
	@$(BIN)/python -X utf8 scripts/pdf.py

formats: $(VENV)/done  ## the PDF, where TeX is, and a zip of all notebooks, for the front page of the next `make book`
	@$(BIN)/python -X utf8 scripts/pdf.py --if-tex
	@mkdir -p _build/formats && $(BIN)/python scripts/make_notebooks.py --zip _build/formats/notebooks.zip

site: formats book lite  ## what is published, in _build/site: the book in all formats, and the site of notebooks below it
	@rm -rf _build/site && cp -r _build/html _build/site && cp -r _build/lite _build/site/lite
	@echo "The whole site is at $(CURDIR)/_build/site; look at it with: $(BIN)/python -m http.server -d _build/site"

test-lite: $(VENV)/done  ## run a chapter a part in Chromium, from the site of notebooks alone; minutes each
	@if $(BIN)/python -m tests.runtime _build/pyodide; then $(BIN)/python scripts/make_lite.py --pyodide _build/pyodide; \
	  else $(BIN)/python scripts/make_lite.py; fi
	$(BIN)/python -m pytest -rs -s -m lite tests

linkcheck: $(VENV)/done  ## try every link of the book (needs the network)
	@$(BIN)/jupyter-book build . --builder linkcheck -q

dist: $(VENV)/done  ## wheel, source archive and a zip of the notebooks, in _build/dist; REVISION names what the notebooks install
	@rm -rf _build/dist && $(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w _build/dist .
	@$(BIN)/python -c "from setuptools import build_meta; build_meta.build_sdist('_build/dist')" >/dev/null
	@$(BIN)/python scripts/make_notebooks.py $(if $(REVISION),--revision $(REVISION)) --zip _build/dist/notebooks.zip

lock:          ## write requirements.lock from pyproject.toml's ranges
	$(BIN)/python scripts/make_lock.py

html-open: book  ## open the book in the system's browser
	@$(BIN)/python -m webbrowser -t "file://$(CURDIR)/_build/html/index.html"

clean:         ## remove the built book and its cache, keep the environment
	rm -rf _build .pytest_cache .ruff_cache
