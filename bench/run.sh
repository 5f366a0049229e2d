#!/usr/bin/env bash
# The speed figures: WORK, the folder with build/ and prefix/. Each round measures every figure once, so that those of one
# round stand side by side; printed are the medians of the rounds, and the medians of each round's ratios.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$1
rounds=${COURANT_BENCH_ROUNDS:-5}
seconds=${COURANT_BENCH_SECONDS:-5}
clients=16
export COURANT_DEV_DIR=$work/stack COURANT_DEV_PREFIX=$work/prefix
COURANT_DEV_PORT=${COURANT_BENCH_PORT:-18280}
export COURANT_DEV_PORT
hello_port=$((COURANT_DEV_PORT + 3))

# What we started, we end.
started=()
cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    "$root/dev" down
}
trap cleanup EXIT

"$root/dev" reset >&2
"$root/dev" up >&2
eval "$("$root/dev" env)"

# The raw append has a database of its own: what it writes is not for the bus.
mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -e "CREATE DATABASE IF NOT EXISTS courant_raw CHARACTER SET utf8mb4;
    GRANT ALL ON courant_raw.* TO courant@localhost"
sed 's/^name = courant$/name = courant_raw/' "$COURANT_CONFIG" >"$work/raw.conf"
"$COURANT_CTL" --config "$work/raw.conf" migrate >&2

say() { printf '%s\n' "$*" >&2; }

token() {
    curl -fsS -H 'Content-Type: application/json' \
        -d "{\"username\":\"$COURANT_ADMIN_USER\",\"password\":\"$COURANT_ADMIN_PASSWORD\"}" "$COURANT_URL/api/auth/login" |
        sed 's/.*"access_token":"\([^"]*\)".*/\1/'
}

# The hello-world behind an nginx of the same form.
rm -rf "$work/hello"
mkdir -p "$work/hello"
"$work/build/bench_hello" "$work/hello/sock" 16 &
started+=($!)
as_user=
[ "$(id -u)" -ne 0 ] || as_user='user root;'
cat >"$work/hello/nginx.conf" <<T
$as_user
daemon off; worker_processes 2; pid $work/hello/pid; error_log stderr warn;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000;
    client_body_temp_path $work/hello/b; proxy_temp_path $work/hello/p; fastcgi_temp_path $work/hello/f;
    uwsgi_temp_path $work/hello/u; scgi_temp_path $work/hello/s;
    upstream hello { server unix:$work/hello/sock; keepalive 6; }
    server {
        listen 127.0.0.1:$hello_port;
        location / { fastcgi_pass hello; fastcgi_keep_conn on; fastcgi_param REQUEST_METHOD \$request_method; }
    }
}
T
nginx -e stderr -p "$work/hello" -c "$work/hello/nginx.conf" &
started+=($!)
until curl -fsS "http://127.0.0.1:$hello_port/" >/dev/null 2>&1; do sleep 0.1; done

# A run counts only if every answer was a 2xx.
load() {
    local out
    out=$(wrk -t2 -c$clients -d"${seconds}s" "$@")
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then
        say "$out"
        exit 1
    fi
    sed -n 's/^Requests\/sec: *//p' <<<"$out"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }

COURANT_BENCH_TOKEN=$(token)
export COURANT_BENCH_TOKEN
article=$(curl -fsS -o /dev/null -D - -H "Authorization: Bearer $COURANT_BENCH_TOKEN" -H 'Content-Type: application/json' \
    -d "{\"title\":\"Read\",\"lead\":\"A lead\",\"content\":\"$(printf 'x%.0s' $(seq 900))\",\"publish\":true}" \
    "$COURANT_URL/api/articles" | sed -n 's|^Location: /api/articles/\([^ \r]*\).*|\1|p')

rm -rf "$work/figures"
mkdir -p "$work/figures"
note() { echo "$2" >>"$work/figures/$1"; }

for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    COURANT_BENCH_TOKEN=$(token)
    hello=$(load "http://127.0.0.1:$hello_port/")
    get=$(load "$COURANT_URL/api/articles/$article")
    raw=$("$work/build/bench_append" "$work/raw.conf" $clients "$seconds")
    post=$(load -s "$root/bench/post.lua" "$COURANT_URL/api/articles")
    read -r p50 p99 longest < <("$work/build/bench_latency" 127.0.0.1 "$COURANT_DEV_PORT" "$COURANT_BENCH_TOKEN" 500 100)
    note hello "$hello"
    note get "$get"
    note raw "$raw"
    note post "$post"
    note get_ratio "$(ratio "$get" "$hello")"
    note post_ratio "$(ratio "$post" "$raw")"
    note post_hello_ratio "$(ratio "$post" "$hello")"
    note get_raw_ratio "$(ratio "$get" "$raw")"
    note p50 "$p50"
    note p99 "$p99"
    note longest "$longest"
    say "  hello $hello  get $get  raw $raw  post $post  latency $p50 / $p99 / $longest ms"
done

of() { median <"$work/figures/$1"; }
cat <<T

$clients clients, $seconds s a run, medians of $rounds rounds, $(nproc) cores for all of it

  figure                              per second   of hello-world   of raw append
  FastCGI hello-world                 $(printf '%10.0f' "$(of hello)")            1.000
  raw append, one round trip          $(printf '%10.0f' "$(of raw)")                            1.000
  GET /api/articles/{id}              $(printf '%10.0f' "$(of get)")            $(of get_ratio)           $(of get_raw_ratio)
  POST /api/articles                  $(printf '%10.0f' "$(of post)")            $(of post_hello_ratio)           $(of post_ratio)

  commit to browser, 100 articles/s   p50 $(of p50) ms   p99 $(of p99) ms   longest $(of longest) ms
T
"$root/dev" ctl verify
