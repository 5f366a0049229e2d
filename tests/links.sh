#!/usr/bin/env bash
# Links each room, whole, with only the rooms below it: an archive that needs one above or beside it fails here.
set -euo pipefail
build=${1:?the build folder}
cd "$build"
order=(base sql events http domain handlers)
libraries=$(pkg-config --libs libnats libmariadb json-c libsodium fcgi libevent icu-i18n icu-uc libcmark libgit2)
flags=$(sed -n 's/^COURANT_LDFLAGS = //p' Makefile)
compiler=$(sed -n 's/^CC = //p' Makefile)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo 'int main(void) { return 0; }' >"$scratch/main.c"

link_room() {
    local room=$1 below=() name
    for name in "${order[@]}"; do
        [ "$name" != "$room" ] || break
        below=("libcourant-$name.a" "${below[@]}")
    done
    # shellcheck disable=SC2086
    $compiler "$scratch/main.c" -o "$scratch/room" -Wl,--whole-archive "libcourant-$room.a" -Wl,--no-whole-archive \
        "${below[@]}" $flags $libraries -lpthread
    echo "links: $room with ${below[*]:-nothing below it}"
}

for room in "${order[@]}" fcgi notifier; do
    link_room "$room"
done
