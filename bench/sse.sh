#!/usr/bin/env bash
# The speed of streams: WORK, the folder with build/ and prefix/. Courant's notifier and Nchan (one worker) in turn, round
# by round, each read by bench_sse; medians of the rounds, and of each round's ratios.
set -euo pipefail
work=$1
rounds=${COURANT_BENCH_ROUNDS:-3}
seconds=${COURANT_BENCH_SECONDS:-5}
idle=${COURANT_BENCH_IDLE:-15000}
storm=${COURANT_BENCH_STORM:-10000}
settings=$'[notifier]\nclients = 100000\nclients_user = 100000\nclients_address = 100000\ncanary_s = 86400'
ulimit -n "$(ulimit -Hn)"
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"
nchan_port=$((COURANT_DEV_PORT + 7))
notifier_port=${COURANT_NOTIFIER_URL##*:}
run=$(dirname "$COURANT_DB_SOCKET")
notifier_pid() { cut -d' ' -f1 "$run/notifier.pid"; }

# Debian's module, in an nginx of our own.
rm -rf "$work/nchan"
mkdir -p "$work/nchan"
as_user=
[ "$(id -u)" -ne 0 ] || as_user='user root;'
cat >"$work/nchan/nginx.conf" <<T
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
$as_user
daemon off; worker_processes 1; pid $work/nchan/pid; error_log stderr crit;
worker_rlimit_nofile 100000;
events { worker_connections 60000; }
http {
    access_log off; keepalive_requests 100000000; nchan_shared_memory_size 512m;
    client_body_temp_path $work/nchan/b; proxy_temp_path $work/nchan/p; fastcgi_temp_path $work/nchan/f;
    uwsgi_temp_path $work/nchan/u; scgi_temp_path $work/nchan/s;
    server {
        listen 127.0.0.1:$nchan_port backlog=4096;
        location = /pub { nchan_publisher; nchan_channel_id c; nchan_message_buffer_length 2000; nchan_message_timeout 10s; }
        location = /sub { nchan_subscriber eventsource; nchan_channel_id c; nchan_subscriber_first_message newest; }
    }
}
T
nginx -p "$work/nchan" -c "$work/nchan/nginx.conf" 2>"$work/nchan/log" &
started+=($!)
sleep_until() { for _ in $(seq 100); do "$@" 2>/dev/null && return; sleep 0.1; done; return 1; }
sleep_until curl -fsS -o /dev/null -X POST -d x "http://127.0.0.1:$nchan_port/pub"
nchan_pid=$(pgrep -P "${started[0]}")

send=$work/build/bench_sse_send
courant() {
    local streams=$1 rate=$2
    shift 2
    "$work/build/bench_sse" 127.0.0.1 "$notifier_port" /events streams="$streams" seconds="$seconds" pid="$(notifier_pid)" \
        sender="exec $send log $COURANT_CONFIG $rate 0 127.0.0.1 $notifier_port >/dev/null" "$@"
}
nchan() {
    local streams=$1 rate=$2
    shift 2
    "$work/build/bench_sse" 127.0.0.1 "$nchan_port" /sub streams="$streams" seconds="$seconds" pid="$nchan_pid" \
        sender="exec $send post 127.0.0.1 $nchan_port /pub $rate 0 >/dev/null" "$@"
}
value() { printf '%s\n' "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# both NAME STREAMS RATE FIGURE...: each round Courant, then Nchan; the figures of each, and of the round the ratio
both() {
    local name=$1 streams=$2 rate=$3 figure round ours theirs
    shift 3
    rm -f "$work/figures/"*
    for ((round = 1; round <= rounds; round++)); do
        ours=$(courant "$streams" "$rate")
        theirs=$(nchan "$streams" "$rate")
        say "$name, round $round: courant $ours"
        say "$name, round $round: nchan   $theirs"
        for figure in "$@"; do
            note "$figure.courant" "$(value "$figure" "$ours")"
            note "$figure.nchan" "$(value "$figure" "$theirs")"
            note "$figure.ratio" "$(ratio "$(value "$figure" "$ours")" "$(value "$figure" "$theirs")")"
        done
    done
    for figure in "$@"; do
        printf '%-32s %-12s courant %10s   nchan %10s   ratio %s\n' "$name" "$figure" \
            "$(of "$figure.courant")" "$(of "$figure.nchan")" "$(of "$figure.ratio")"
    done
}

saturation() {
    both "1,000 streams, saturated" 1000 0 deliveries_s p99_ms cpu_us
    both "5,000 streams, saturated" 5000 0 deliveries_s p99_ms cpu_us
}
rate() { both "1,000 streams, 100 events/s" 1000 100 deliveries_s p50_ms p99_ms cpu_us; }
calm() { both "100 streams, 10 events/s" 100 10 p50_ms p99_ms; }
stalled() {
    local without with round
    for ((round = 1; round <= rounds; round++)); do
        without=$(courant 1000 100)
        with=$(courant 1000 100 stalled=10)
        printf '%-32s p99_ms       without %s, with %s\n' "10 stalled of 1,000" "$(value p99_ms "$without")" "$(value p99_ms "$with")"
    done
}
# A notifier that has just started, so that nothing but the streams is in its memory.
start_anew() {
    "$root/dev" stop notifier >&2
    "$root/dev" start notifier >&2
}
memory() {
    start_anew
    local found
    found=$("$work/build/bench_sse" 127.0.0.1 "$notifier_port" /events streams="$idle" seconds=1 warm=0 pid="$(notifier_pid)")
    printf '%-32s %s KB each\n' "$idle idle streams" "$(value kb_stream "$found")"
}
# All come back at once to a notifier that was restarted, each with a position of its own from before.
storm() {
    local answer n position before
    answer=$("$send" log "$COURANT_CONFIG" 0 1000)
    n=${answer% *} position=${answer#* }
    start_anew
    reads() { mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -N -B -e "SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'" | cut -f2; }
    before=$(reads)
    found=$("$work/build/bench_sse" 127.0.0.1 "$notifier_port" /events streams="$storm" pid="$(notifier_pid)" \
        after=$((position - n)) spread=$((n / 2)) first=0 last=$((n - 1)))
    say "$found"
    printf '%-32s served in %s s, %s reads of the database\n' "a storm of $storm" "$(value served_s "$found")" $(($(reads) - before))
}

for part in ${COURANT_BENCH_PARTS:-saturation rate calm stalled memory storm}; do "$part"; done
