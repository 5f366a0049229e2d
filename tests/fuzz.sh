#!/usr/bin/env bash
# Runs a fuzz target: BUILD TARGET SECONDS FOLDER [SEED]. What it finds worth keeping is in FOLDER/TARGET, which begins as a
# copy of tests/fuzz/corpus/TARGET; an input that breaks something is in FOLDER/TARGET-crash-… and the like.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$1 target=$2 seconds=$3 folder=$4 seed=${5:-0}
[ -x "$build/fuzz_$target" ] || {
    echo "fuzz: there is no $build/fuzz_$target" >&2
    exit 1
}
mkdir -p "$folder/$target"
cp -r --no-preserve=mode "$root/tests/fuzz/corpus/$target/." "$folder/$target/"
# What was freed is held back to find late uses; 64 MB of it will do, within the limit below.
export ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=64 UBSAN_OPTIONS=print_stacktrace=1
exec "$build/fuzz_$target" -seed="$seed" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=5 -print_final_stats=1 \
    -artifact_prefix="$folder/$target-" "$folder/$target"
