#!/usr/bin/env bash
# The speed figures: WORK, the folder with build/ and prefix/. Each round measures every figure once, so that those of one
# round stand side by side; printed are the medians of the rounds, and the medians of each round's ratios.
set -euo pipefail
work=$1
rounds=${COURANT_BENCH_ROUNDS:-5}
seconds=${COURANT_BENCH_SECONDS:-5}
clients=16
# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

hello_port=$((COURANT_DEV_PORT + 4))
select_port=$((COURANT_DEV_PORT + 5))
alone_port=$((COURANT_DEV_PORT + 6))

fresh raw
fresh commands

token() {
    curl -fsS -H 'Content-Type: application/json' \
        -d "{\"username\":\"$COURANT_ADMIN_USER\",\"password\":\"$COURANT_ADMIN_PASSWORD\"}" "$COURANT_URL/api/auth/login" |
        sed 's/.*"access_token":"\([^"]*\)".*/\1/'
}

# The hello-world and the bare SELECT behind an nginx of the same form.
rm -rf "$work/hello"
mkdir -p "$work/hello"
"$work/build/bench_hello" "$work/hello/sock" 16 &
started+=($!)
"$work/build/bench_select" "$work/hello/select" 16 "$COURANT_CONFIG" &
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
    upstream alone { server unix:$work/hello/alone; keepalive 1; }
    server {
        listen 127.0.0.1:$alone_port;
        location / {
            fastcgi_pass alone; fastcgi_keep_conn on; fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param REQUEST_URI \$request_uri; fastcgi_param CONTENT_TYPE \$content_type;
            fastcgi_param CONTENT_LENGTH \$content_length;
        }
    }
    upstream bare { server unix:$work/hello/select; keepalive 6; }
    server {
        listen 127.0.0.1:$select_port;
        location / {
            fastcgi_pass bare; fastcgi_keep_conn on; fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param REQUEST_URI \$request_uri; fastcgi_param CONTENT_TYPE \$content_type;
            fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_param HTTPS \$https if_not_empty;
            fastcgi_param REMOTE_ADDR \$remote_addr; fastcgi_param HTTP_PROXY "";
        }
    }
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
    out=$(wrk -t2 -c$clients -d"${seconds}s" --timeout 10s "$@")
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then
        say "$out"
        exit 1
    fi
    sed -n 's/^Requests\/sec: *//p' <<<"$out"
}

COURANT_BENCH_TOKEN=$(token)
export COURANT_BENCH_TOKEN
article=$(curl -fsS -o /dev/null -D - -H "Authorization: Bearer $COURANT_BENCH_TOKEN" -H 'Content-Type: application/json' \
    -d "{\"title\":\"Read\",\"lead\":\"A lead\",\"content\":\"$(printf 'x%.0s' $(seq 900))\",\"publish\":true}" \
    "$COURANT_URL/api/articles" | sed -n 's|^Location: /api/articles/\([^ \r]*\).*|\1|p')

# Some more, for the list.
for _ in $(seq 40); do
    curl -fsS -o /dev/null -H "Authorization: Bearer $COURANT_BENCH_TOKEN" -H 'Content-Type: application/json' \
        -d '{"title":"One of a list","lead":"What it is about, in a sentence or two, as leads are.","content":"Text","publish":true,"tags":["news","list"]}' \
        "$COURANT_URL/api/articles"
done

for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    COURANT_BENCH_TOKEN=$(token)
    hello=$(load "http://127.0.0.1:$hello_port/")
    bare=$(load "http://127.0.0.1:$select_port/api/articles/$article")
    get=$(load "$COURANT_URL/api/articles/$article")
    unchanged=$(load -H 'If-None-Match: "v3"' "$COURANT_URL/api/articles/$article")
    list=$(load "$COURANT_URL/api/articles?limit=20")
    raw=$("$work/build/bench_append" "$work/raw.conf" $clients "$seconds")
    post=$(load -s "$root/bench/post.lua" "$COURANT_URL/api/articles")
    read -r commands _ < <("$work/build/bench_commands" "$work/commands.conf" $clients 0 "$seconds")
    read -r projected_commands projected < <("$work/build/bench_commands" "$work/commands.conf" 50 6 "$seconds" small)
    read -r p50 p99 longest < <("$work/build/bench_latency" 127.0.0.1 "$COURANT_DEV_PORT" "$COURANT_BENCH_TOKEN" 500 100)
    note hello "$hello"
    note get "$get"
    note bare "$bare"
    note list "$list"
    note unchanged "$unchanged"
    note get_bare_ratio "$(ratio "$get" "$bare")"
    note list_bare_ratio "$(ratio "$list" "$bare")"
    note unchanged_bare_ratio "$(ratio "$unchanged" "$bare")"
    note raw "$raw"
    note post "$post"
    note commands "$commands"
    note commands_ratio "$(ratio "$commands" "$raw")"
    note projected "$projected"
    note projected_commands "$projected_commands"
    note projected_ratio "$(ratio "$projected" 66)"
    note get_ratio "$(ratio "$get" "$hello")"
    note post_ratio "$(ratio "$post" "$raw")"
    note post_hello_ratio "$(ratio "$post" "$hello")"
    note get_raw_ratio "$(ratio "$get" "$raw")"
    note p50 "$p50"
    note p99 "$p99"
    note longest "$longest"
    say "  hello $hello  bare $bare  get $get  304 $unchanged  list $list  raw $raw  post $post  commands $commands  50 writers and 6 readers $projected events of $projected_commands  latency $p50 / $p99 / $longest ms"
done

# The memory of a worker that serves alone, by turns of 100,000 requests of all kinds.
sed -e "s|^listen = unix:.*fcgi.sock|listen = unix:$work/hello/alone|" -e 's/^\[fcgi\]/[fcgi]\nworkers = 1/' "$COURANT_CONFIG" \
    >"$work/alone.conf"
"$COURANT_DEV_PREFIX/sbin/courant-fcgi" --config "$work/alone.conf" &
pool=$!
started+=($pool)
until curl -fsS "http://127.0.0.1:$alone_port/readyz" >/dev/null 2>&1; do sleep 0.1; done
slug=$(curl -fsS "$COURANT_URL/api/articles/$article" | sed 's/.*"slug":"\([^"]*\)".*/\1/')
# The largest of its children: the worker, not the process that publishes.
pss() {
    local child most=0 now
    for child in $(cat "/proc/$pool/task/$pool/children"); do
        now=$(awk '/^Pss:/ { print $2 }' "/proc/$child/smaps_rollup")
        [ "$now" -le "$most" ] || most=$now
    done
    awk "BEGIN { printf \"%.1f\", $most / 1024 }"
}
requests=0
memory="$(pss) MB at the start"
for turn in 1 2 3; do
    COURANT_BENCH_TOKEN=$(token)
    while [ $requests -lt $((turn * 100000)) ]; do
        out=$(wrk -t1 -c1 -d5s -s "$root/bench/mixed.lua" "http://127.0.0.1:$alone_port" -- "/api/articles/$article" \
            "/api/articles?limit=20" "/api/articles/$slug" "/api/articles?tag=mixed" "/api/articles?q=read&limit=5" /feed.atom \
            "/api/articles/$article/revisions" "/api/articles/$article?version=3" /api/nothing)
        requests=$((requests + $(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' <<<"$out")))
    done
    memory+=", $(pss) MB after $requests requests"
done

cat <<T

$clients clients, $seconds s a run, medians of $rounds rounds, $(nproc) cores for all of it

  figure                              per second   of hello-world   of raw append   of bare SELECT
  FastCGI hello-world                 $(printf '%10.0f' "$(of hello)")            1.000
  raw append, one round trip          $(printf '%10.0f' "$(of raw)")                            1.000
  bare SELECT by primary key          $(printf '%10.0f' "$(of bare)")                                            1.000
  GET /api/articles/{id}              $(printf '%10.0f' "$(of get)")            $(of get_ratio)           $(of get_raw_ratio)           $(of get_bare_ratio)
  the same, 304                       $(printf '%10.0f' "$(of unchanged)")                                            $(of unchanged_bare_ratio)
  GET /api/articles, 20 of them       $(printf '%10.0f' "$(of list)")                                            $(of list_bare_ratio)
  POST /api/articles                  $(printf '%10.0f' "$(of post)")            $(of post_hello_ratio)           $(of post_ratio)
  the same commands, without HTTP     $(printf '%10.0f' "$(of commands)")                            $(of commands_ratio)
  50 writers, 6 projections           $(printf '%10.0f' "$(of projected)")   events of $(of projected_commands) small drafts; $(of projected_ratio) times the 66/s published for prooph on MariaDB

  a worker alone: $memory

  commit to browser, 100 articles/s   p50 $(of p50) ms   p99 $(of p99) ms   longest $(of longest) ms
T
"$root/dev" ctl verify >&2
