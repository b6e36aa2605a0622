#!/usr/bin/env bash
# Installs the core with the lowest allowed versions of its direct dependencies, then with the newest, each in an
# environment of its own, and runs the examples and every command's help with both. A bound that does not hold fails.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/uv"
"$work/uv/bin/python" -m pip install -q uv
for which in ${RESOLUTIONS:-lowest-direct highest}; do
  env="$work/$which"
  "$python" -m venv "$env"
  "$work/uv/bin/uv" pip install -q --python "$env/bin/python" --resolution "$which" .
  echo "== $which: $("$work/uv/bin/uv" pip freeze -q --python "$env/bin/python" | grep -iE '^(numpy|pydantic|pyyaml|typer|rich|click)==' | tr '\n' ' ')"
  sizing="$env/bin/sizing"
  for command in "" models hardware params kv memory estimate plan compare claim report deploy calibrate validate app; do
    (cd "$work" && "$sizing" $command --help >/dev/null)
  done
  (cd "$work" && "$sizing" params Qwen/Qwen3-32B --json >/dev/null && "$sizing" kv deepseek-ai/DeepSeek-V3 >/dev/null)
  for study in examples/*.yaml; do
    "$sizing" plan "$study" --json >"$work/plan.json"
    "$env/bin/python" -c 'import json, sys; assert json.load(open(sys.argv[1]))["plans"], sys.argv[1]' "$work/plan.json"
    echo "   $study"
  done
done
