.PHONY: demo test

demo: ; @.ci/run env && .venv/bin/failsoft demo

test: ; @.ci/run $(STAGES)
