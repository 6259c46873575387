#!/bin/sh
# The session tests that openai-agents ships in its sdist, with our session in place of theirs, on each
# store: `make suites`. Fails where one fails that is not in internals.txt, or one there passes: those
# are of SQLiteSession's own connections and tables, and of the compaction that only it knows.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$root/.venv-suites/bin/python
folder=$root/.venv-suites/suite
version=$(sed -n 's/^openai-agents==//p' "$here/suites.txt")

if [ ! -d "$folder/openai_agents-$version" ]; then
    mkdir -p "$folder"
    "$python" -m pip download --quiet --disable-pip-version-check --no-binary :all: --no-deps \
        --dest "$folder" "openai-agents==$version"
    tar xzf "$folder/openai_agents-$version.tar.gz" -C "$folder"
fi
cd "$folder/openai_agents-$version"
for store in ${STORES:-memory sqlite}; do
    work=$(mktemp -d)
    CTXBRIDGE_SUITE_STORE=$store CTXBRIDGE_SUITE_FOLDER=$work CTXBRIDGE_SUITE_RESULT=$work/result.json \
    PYTHONPATH=$here "$python" -m pytest -q -p suite_plugin --no-header --tb=no \
        tests/memory tests/test_agent_runner.py tests/test_agent_runner_streamed.py \
        tests/test_max_turns.py tests/test_soft_cancel.py tests/test_run_impl_resume_paths.py \
        tests/test_tool_failure_boundaries.py tests/test_native_tool_failure_history.py \
        tests/test_tool_batch_failure_history.py tests/test_programmatic_tool_calling.py \
        --ignore=tests/memory/test_sqlalchemy_compaction.py > "$work/log" 2>&1 || true
    tail -1 "$work/log"
    "$python" - "$store" "$work/result.json" "$here/internals.txt" <<'PYTHON'
import json
import sys

store, result, listed = sys.argv[1:]
outcomes = json.load(open(result))
listed = {line for line in open(listed).read().splitlines() if line and line[0] != "#"}
failed = {name for name, outcome in outcomes.items() if outcome == "failed"}
passed = sum(outcome == "passed" for outcome in outcomes.values())
print(f"on {store}: {passed} of {len(outcomes)} that use the session pass; of {len(listed)} known internals {len(failed & listed)} fail")
print(*sorted(failed - listed), *(f"passes now: {n}" for n in sorted(listed - failed)), sep="\n")
sys.exit(bool(failed ^ listed) or not passed)
PYTHON
    rm -rf "$work"
done
