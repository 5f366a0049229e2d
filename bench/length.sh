#!/usr/bin/env bash
# What the log's length costs: WORK, the folder with build/ and prefix/. The same measurements at 1,000 and at 1,000,000 events,
# round by round in turn; then a rebuild and a verify of the long one. The two logs are in databases of their own on one server,
# whose buffer pool holds both.
set -euo pipefail
work=$1
rounds=${COURANT_BENCH_ROUNDS:-5}
events=${COURANT_BENCH_EVENTS:-1000000}
clients=16
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

say "a log of $events events: importing"
mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -e "SET GLOBAL innodb_buffer_pool_size = ${COURANT_BENCH_POOL:-4294967296}"
fresh long
"$work/build/bench_generate" "$events" | "$COURANT_CTL" --config "$work/long.conf" import >&2
for round in $(seq "$rounds"); do
    # What a round appends makes the short log long: each begins with a new one.
    fresh short
    "$work/build/bench_generate" 1000 | "$COURANT_CTL" --config "$work/short.conf" import >/dev/null
    for log in short long; do
        "$work/build/bench_length" "$work/$log.conf" 2 >"$work/length"
        while read -r name figure; do note "${log}_$name" "$figure"; done <"$work/length"
        note "${log}_append" "$("$work/build/bench_append" "$work/$log.conf" $clients 3)"
    done
    for name in append get replay; do
        note "${name}_length" "$(ratio "$(tail -n 1 "$work/figures/long_$name")" "$(tail -n 1 "$work/figures/short_$name")")"
    done
done
rate() { sed -n 's/.*[(, ]\([0-9][0-9]*\) events\/s.*/\1/p' | head -n 1; }
peak() { /usr/bin/env bash -c 'exec 3>&1; "$@" >&3 & pid=$!; peak=0
    while kill -0 $pid 2>/dev/null; do
        now=$(sed -n "s/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p" /proc/$pid/status 2>/dev/null); peak=${now:-$peak}; sleep 0.05
    done; echo "peak memory $((peak / 1024)) MB" >&2; wait $pid' peak "$@"; }
# By the clock, all of it: folding, keys, the text for the search and its FULLTEXT index, comparing, and the change of places.
walk() {
    local log=$1 what out began spent head
    "$COURANT_CTL" --config "$work/$log.conf" bus rebuild >&2
    head=$(mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -N -B "courant_$log" -e 'SELECT position FROM log_head')
    note "${log}_head" "$head"
    note "${log}_rows" "$(mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -N -B "courant_$log" -e 'SELECT COUNT(*) FROM articles')"
    note "${log}_public" "$(mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -N -B "courant_$log" -e 'SELECT COUNT(*) FROM articles_search')"
    for what in rebuild verify; do
        began=$(date +%s%N)
        out=$(peak "$COURANT_CTL" --config "$work/$log.conf" $what 2>"$work/peak") || { say "$out" "$(cat "$work/peak")"; exit 1; }
        spent=$(($(date +%s%N) - began))
        say "$out"
        note "${log}_$what" "$(awk "BEGIN { printf \"%.0f\", $head * 1e9 / $spent }")"
        note "${log}_${what}_inner" "$(rate <<<"$out")"
        note "${log}_${what}_memory" "$(sed -n 's/peak memory //p' "$work/peak")"
    done
}
walk long
mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -e 'DROP DATABASE courant_long'
fresh saved
"$work/build/bench_generate" "$events" 10 | "$COURANT_CTL" --config "$work/saved.conf" import >&2
walk saved
walked() {
    cat <<T
  $(of "$1_head") events, $(of "$1_rows") articles, $(of "$1_public") of them published:
    rebuild    folding $(of "$1_rebuild_inner") events/s; all of it, by the clock, $(of "$1_rebuild") events/s; at most $(of "$1_rebuild_memory") MB
    verify     $(of "$1_verify_inner") events/s; by the clock, bus included, $(of "$1_verify") events/s; at most $(of "$1_verify_memory") MB
T
}
cat <<T

medians of $rounds rounds, $(nproc) cores for all of it

  a log of                                   1,000    $(printf '%10d' "$events") events     ratio
  append, $clients writers                  $(printf '%10.0f' "$(of short_append)")    $(printf '%10.0f' "$(of long_append)")/s            $(of append_length)
  GET of one article (SQL and JSON)    $(printf '%10.0f' "$(of short_get)")    $(printf '%10.0f' "$(of long_get)")/s            $(of get_length)
  replay of the last 100 events        $(printf '%10.0f' "$(of short_replay)")    $(printf '%10.0f' "$(of long_replay)")/s            $(of replay_length)

T
walked long
walked saved
