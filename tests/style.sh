#!/usr/bin/env bash
# Budgets for the C sources: sizes of files and functions, mutable globals, calls that are banned. Names what is over.
set -euo pipefail
export LC_ALL=C
cd "${1:-$(dirname "$0")/..}"

mapfile -t files < <(find base sql events http domain handlers fcgi notifier ctl bench tests -name '*.c' | sort)
awk -v files="${#files[@]}" '
function median(list, n,    i, j, t) {
    for (i = 2; i <= n; i++) { t = list[i]; for (j = i - 1; j > 0 && list[j] > t; j--) list[j + 1] = list[j]; list[j + 1] = t }
    return n ? list[int((n + 1) / 2)] : 0
}
function over(text) { print text; faults++ }
FNR == 1 { if (last != "") sizes[++count] = lines; last = FILENAME; lines = 0; inside = 0 }
{ lines = FNR }
FNR == 801 { over(FILENAME ": over 800 lines") }
{ wide = $0; gsub(/[\200-\277]/, "", wide) }
length(wide) > 120 { over(FILENAME ":" FNR ": over 120 columns") }
/^[a-zA-Z].*\)$/ && !/;/ { head = FNR }
/^    +.*\)$/ && head == FNR - 1 { head = FNR }
/^\{$/ { inside = 1; start = FNR }
/^\}/ && inside {
    inside = 0; size = FNR - start + 1; bodies[++functions] = size
    if (size > 100) over(FILENAME ":" start ": a function of " size " lines")
    if (size > 60) long++
}
/[^_a-z](strcpy|strcat|sprintf|vsprintf|gets|strtok|atof|alloca|system|popen|tmpnam|rand)\(/ && !/style: / {
    over(FILENAME ":" FNR ": a banned call: " $0)
}
/^(struct |int |bool |char |long |size_t |unsigned |uint[0-9]+_t |int[0-9]+_t )[a-z_ *]+(\[[^]]*\])?( = [^(]*)?;$/ && !/^(static|extern|const|typedef)/ && !/ const / && !/^struct [a-z_]+;$/ {
    over(FILENAME ":" FNR ": a mutable external global: " $0)
}
END {
    sizes[++count] = lines
    fm = median(sizes, count); bm = median(bodies, functions)
    printf "style: %d files, median %d lines; %d functions, median %d lines, %.1f %% over 60\n", count, fm, functions, bm, 100 * long / functions
    if (fm > 350) over("the median file has over 350 lines")
    if (bm > 20) over("the median function has over 20 lines")
    if (100 * long > 5 * functions) over("more than 5 % of the functions have over 60 lines")
    exit faults > 0
}' "${files[@]}"

# Every source says on its first lines what it is for.
for file in "${files[@]}"; do
    head -n 1 "$file" | grep -q '^/\*' || { echo "$file: no word on what it is for"; exit 1; }
done
# Every option is in the manual.
for option in $(sed -nE 's/^    (TEXT|NUMBER)\(([a-z]+), ([a-z0-9_]+),.*/\2.\3/p' base/conf.c); do
    grep -qF ".B ${option#*.}" man/courant.conf.5 || { echo "man/courant.conf.5 does not describe $option"; exit 1; }
done
