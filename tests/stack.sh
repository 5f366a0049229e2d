#!/usr/bin/env bash
# One step of a test on a stack of its own: KIND (plain or asan) and up, down, env COMMAND…, or reports.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
kind=$1
shift
work=${COURANT_TEST_DIR:?run the tests by ./dev test}
suffix=
[ "$kind" = plain ] || suffix=-$kind
export COURANT_DEV_DIR=$work/$kind
export COURANT_DEV_PREFIX=$work/prefix$suffix
if [ "$kind" = plain ]; then
    export COURANT_DEV_PORT=$COURANT_TEST_PORT_PLAIN
else
    export COURANT_DEV_PORT=$COURANT_TEST_PORT_ASAN
fi
export COURANT_FAULTS=$work/$kind/faults
export COURANT_TEST_WRITERS=$work/build$suffix/stack_writers
export COURANT_TEST_NODE=$work/node
export HYPOTHESIS_STORAGE_DIRECTORY=$work/hypothesis
# A leak or a fault of memory is written here by whichever process finds it, and ends that process.
export ASAN_OPTIONS=log_path=$work/$kind/sanitizer/report:detect_leaks=1:exitcode=99:max_free_fill_size=1048576:quarantine_size_mb=32
export UBSAN_OPTIONS=log_path=$work/$kind/sanitizer/report:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0

case $1 in
up)
    COURANT_DEV_PREFIX=$work/prefix$suffix "$root/dev" down
    rm -rf "$COURANT_DEV_DIR"
    mkdir -p "$COURANT_FAULTS" "$work/$kind/sanitizer"
    # argon2id as cheap as it gets: the tests log in often, and the sanitizers make it slow.
    printf '[auth]\nargon2_ops = 1\nargon2_memory = 8388608\n[notifier]\nheartbeat_s = 2\nmemory = 1048576\nclients_user = 1000\nclients_address = 2000\n[throttle]\nlogin_account = 100000\nlogin_address = 100000\nregister_address = 100000\nupdate_account = 100000\nupdate_address = 100000\n[auth]\nargon2_concurrent = 16\n' \
        >"$COURANT_DEV_DIR/courant.local.conf"
    "$root/dev" up
    ;;
down)
    "$root/dev" down
    ;;
reports)
    found=0
    for report in "$work/$kind"/sanitizer/report*; do
        [ -e "$report" ] || continue
        cat "$report"
        # What the leak checker says of a program that a test kills while it ends, in the midst of the look: no finding, for
        # those are in lines of their own.
        ! grep -qvE '^(==[0-9]+==Unable to get registers from thread [0-9]+\.)?$' "$report" || found=1
    done
    [ $found -eq 0 ] || exit 1
    echo "no finding of a sanitizer"
    ;;
env)
    shift
    eval "$("$root/dev" env)"
    exec "$@"
    ;;
esac
