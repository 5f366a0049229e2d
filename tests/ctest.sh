#!/usr/bin/env bash
# Writes the list of tests for ctest: SOURCE BUILD "UNIT-TESTS". From simple to complex; each stack is a fixture, and its tests run
# one after the other, beside those of the other stack.
set -euo pipefail
source=$1 build=$2 units=$3

add() { # NAME LABEL TIMEOUT [PROPERTIES] -- COMMAND...
    local name=$1 label=$2 timeout=$3 properties='' word
    shift 3
    while [ "$1" != -- ]; do
        properties+=" $1"
        shift
    done
    shift
    printf 'add_test(%s' "$name"
    for word in "$@"; do printf ' "%s"' "$word"; done
    printf ')\nset_tests_properties(%s PROPERTIES LABELS "%s" TIMEOUT %s%s)\n' "$name" "$label" "$timeout" "${properties:- RUN_SERIAL ON}"
}

add style.layers style 60 -- "$source/tests/layers.sh" "$source"
add style.budgets style 60 -- "$source/tests/style.sh" "$source"
add style.links style 60 -- "$source/tests/links.sh" "$build"
for unit in $units; do
    add "unit.${unit#test_}" unit 60 -- "$build/$unit"
done
[ -n "${COURANT_TEST_STACKS:-}" ] || [ -d "$build/../build-asan" ] || exit 0

add style.openapi style 120 -- env REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
    node "$build/../lint/node_modules/@redocly/cli/bin/cli.js" lint --config "$source/tests/openapi/redocly.yaml" \
    "$source/docs/openapi.yaml"
for unit in $units; do
    add "unit.asan.${unit#test_}" 'unit;asan' 120 -- "$build/../build-asan/$unit"
done
add unit.plan unit 60 -- /usr/bin/python3 -B -m pytest -q -p no:cacheprovider --noconftest --tb=short "$source/tests/fault/check_plan.py"
add unit.browser.parser unit 60 -- node "$source/tests/browser/parser.mjs"
add unit.browser.tabs unit 60 -- node "$source/tests/browser/tabs.mjs"
for target in "$source"/tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    # One seed, so that it is the same run each time; ./dev fuzz takes another each time.
    add "fuzz.${name#fuzz_}" fuzz 120 -- "$source/tests/fuzz.sh" "$build/../build-fuzz" "${name#fuzz_}" 15 "$build/fuzz" 1
done
# What hangs says where, before it is ended.
pytest=(/usr/bin/python3 -B -m pytest -q -p no:cacheprovider -o faulthandler_timeout=400 -rA --tb=short)
for kind in plain asan; do
    stack="$source/tests/stack.sh"
    add "$kind.up" "stack;$kind" 300 FIXTURES_SETUP "$kind" RESOURCE_LOCK "$kind" -- "$stack" $kind up
    for file in "$source"/tests/http/test_*.py; do
        name=$(basename "$file" .py)
        add "$kind.http.${name#test_}" "http;$kind" 900 FIXTURES_REQUIRED "$kind" RESOURCE_LOCK "$kind" -- \
            "$stack" $kind env "${pytest[@]}" "$file"
    done
    for file in "$source"/tests/fault/test_*.py; do
        name=$(basename "$file" .py)
        add "$kind.fault.${name#test_}" "fault;$kind" 900 FIXTURES_REQUIRED "$kind" RESOURCE_LOCK "$kind" -- \
            "$stack" $kind env "${pytest[@]}" "$file"
    done
    seconds=60
    [ $kind = plain ] || seconds=30
    add "$kind.fault.machine" "fault;$kind" $((600 + ${COURANT_MACHINE_MINUTES:-0} * 90)) FIXTURES_REQUIRED "$kind" RESOURCE_LOCK "$kind" -- \
        "$stack" $kind env /usr/bin/python3 -B "$source/tests/fault/machine.py" --seconds $seconds
    add "$kind.browser.live" "browser;$kind" 120 FIXTURES_REQUIRED "$kind" RESOURCE_LOCK "$kind" -- "$stack" $kind env node "$source/tests/browser/live.mjs"
    add "$kind.browser.clients" "browser;$kind" 300 FIXTURES_REQUIRED "$kind" RESOURCE_LOCK "$kind" -- "$stack" $kind env node "$source/tests/browser/clients.mjs"
    add "$kind.browser.module" "browser;$kind" 300 FIXTURES_REQUIRED "$kind" RESOURCE_LOCK "$kind" -- "$stack" $kind env node "$source/tests/browser/module.mjs"
    add "$kind.down" "stack;$kind" 120 FIXTURES_CLEANUP "$kind" RESOURCE_LOCK "$kind" -- "$stack" $kind down
    [ $kind = plain ] || add $kind.reports "stack;$kind" 60 FIXTURES_CLEANUP $kind RESOURCE_LOCK $kind DEPENDS $kind.down -- "$stack" $kind reports
done
add dist.check dist 1200 -- make -C "$build" -s distcheck
