#!/usr/bin/env bash
# The floors: a room includes headers of lower floors and its own, no third party's outside the rooms that may name it.
# Names each line that breaks this; exits 1 if there is one.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

declare -A floor=([base]=0 [sql]=1 [events]=2 [http]=3 [domain]=4 [handlers]=5 [fcgi]=6 [notifier]=6 [consumer]=6 [ctl]=6)
declare -A owner=([fcgiapp.h]=fcgi [fcgi_stdio.h]=fcgi [mysql.h]=sql [mysqld_error.h]=sql [errmsg.h]=sql [nats/]=events
    [event2/]=notifier [sodium.h]=base
    [unicode/]=base [cmark.h]=base [git2.h]=base)
faults=0

fault() {
    printf '%s\n' "$1"
    faults=$((faults + 1))
}

for room in "${!floor[@]}"; do
    [ -d "$room" ] || continue
    while IFS=: read -r file line text; do
        header=$(sed -n 's/^#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' <<<"$text")
        case $text in
        *'"'*)
            other=${header%%/*}
            if [ "$other" = "$header" ]; then
                fault "$file:$line: \"$header\" is not qualified by its room"
            elif [ -z "${floor[$other]:-}" ]; then
                fault "$file:$line: there is no room $other"
            elif [ "$other" != "$room" ] && [ "${floor[$other]}" -ge "${floor[$room]}" ]; then
                fault "$file:$line: $room (floor ${floor[$room]}) includes \"$header\" (floor ${floor[$other]})"
            fi
            ;;
        *)
            for name in "${!owner[@]}"; do
                case $header in "$name"*) [ "${owner[$name]}" = "$room" ] ||
                    fault "$file:$line: <$header> belongs to ${owner[$name]}/ only" ;; esac
            done
            ;;
        esac
    done < <(grep -nHE '^#[[:space:]]*include' "$room"/*.[ch])
done

[ $faults -eq 0 ] || {
    echo "layers: $faults fault(s)"
    exit 1
}
echo "layers: every include keeps to its floor"
