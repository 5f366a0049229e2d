# What the benches share: the stack of $work, and how figures are kept. They set work, and may set settings: lines of its configuration.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export COURANT_DEV_DIR=$work/stack COURANT_DEV_PREFIX=$work/prefix
COURANT_DEV_PORT=${COURANT_BENCH_PORT:-18280}
export COURANT_DEV_PORT

# What we started, we end.
started=()
cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    "$root/dev" down
}
trap cleanup EXIT

"$root/dev" reset >&2
mkdir -p "$COURANT_DEV_DIR"
printf '%s\n' "${settings:-}" >"$COURANT_DEV_DIR/courant.local.conf"
"$root/dev" up >&2
eval "$("$root/dev" env)"

# A database and a stream of the bus of their own, empty: its configuration is $work/NAME.conf.
fresh() {
    mariadb --no-defaults -S "$COURANT_DB_SOCKET" -uroot -e "DROP DATABASE IF EXISTS courant_$1;
        CREATE DATABASE courant_$1 CHARACTER SET utf8mb4; GRANT ALL ON courant_$1.* TO courant@localhost"
    sed "s/^name = courant\$/name = courant_$1/; s/^\[nats\]/[nats]\nstream = $1\nsubject = $1.events/" \
        "$COURANT_CONFIG" >"$work/$1.conf"
    "$COURANT_CTL" --config "$work/$1.conf" migrate >/dev/null
    "$COURANT_CTL" --config "$work/$1.conf" bus rebuild --force >/dev/null
}

say() { printf '%s\n' "$*" >&2; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
rm -rf "$work/figures"
mkdir -p "$work/figures"
note() { echo "$2" >>"$work/figures/$1"; }
of() { median <"$work/figures/$1"; }
