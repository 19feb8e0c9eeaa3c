#!/bin/bash
# nfbpf-load beside a module that plain files play: /sys/module is a tmpfs of this test's own mount
# namespace. What is tested is what nfbpf-load does with pins and manifest, when a step fails and
# after one that was killed; tests/vm/guest/swap.sh has the real module.
if [ -z "${NFBPF_OWN_MOUNTS:-}" ] && mountpoint -q /; then
    NFBPF_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

play_module
pins=$base-swap run=$work/run-swap
traffic=$NFBPF_OBJECT_DIR/traffic.bpf.o

id_of() { bpftool -j prog show pinned "$pins/$1" | jq .id; }
state() { find "$pins" "$run" ! -name last_swap.json | sort; for pin in "$@"; do id_of "$pin"; done; cat "$run/state.json"; }
unchanged() { # WHAT BEFORE AFTER
    [ "$2" = "$3" ] || fail "$1: changed: $(diff <(echo "$2") <(echo "$3"))"
    echo "   $1: as before"
}

load swap attach --datapath pinned
sed -i 's/"datapath": "pinned"/"datapath": "kmod"/' "$run/state.json"

step "the manifest says kmod, and the module is not loaded"
status=0
output=$(load swap status) || status=$?
assert_eq "exit status" 3 $status
grep -q "not attached: .* says kmod, but module nfbpf is not loaded" <<<"$output" || fail "$output"
status=0
output=$(load swap status --json) || status=$?
assert_eq "exit status" 3 $status
assert_eq "attached" false "$(jq .attached <<<"$output")"
assert_refused "swap" "module nfbpf is not loaded: nfbpf-load detach" load swap swap "$traffic"

load_module "$pins/program"
id_of program >$module/program/id
assert_eq "attached, once it is" true "$(load swap status --json | jq .attached)"

step "a module of another ABI"
echo 2.0 >$module/version
assert_refused "swap" "module nfbpf speaks ABI 2.0, nfbpf-load speaks 1: detach" load swap swap "$traffic"
echo 1.0 >$module/version

step "a swap that fails leaves all as it was"
before=$(state program)
mkdir "$run/state.json.part"
assert_refused "no manifest" "write .*state.json.part" load swap swap "$traffic"
rmdir "$run/state.json.part"
unchanged "no manifest" "$before" "$(state program)"
mkdir $pins/program_previous
assert_refused "no place for the old program" "program pin .*program_previous" load swap swap "$traffic"
rmdir $pins/program_previous
unchanged "no place" "$before" "$(state program)"
rm $module/parameters/bpf_path
mkdir $module/parameters/bpf_path
assert_refused "the module refuses" "parameters/bpf_path" load swap swap "$traffic"
assert_refused "new maps" "parameters/bpf_path" load swap swap "$NFBPF_OBJECT_DIR/deny.bpf.o"
unchanged "the module refuses" "$before" "$(state program)"
rmdir $module/parameters/bpf_path
load_module "$pins/program"

assert_eq "noted" false "$(jq .successful "$run/last_swap.json")"
grep -q 'last swap was refused: .*parameters/bpf_path' <<<"$(load swap status)" || fail "status does not tell: $(load swap status)"

step "swap, rollback, and a rollback that fails"
old=$(id_of program)
load swap swap "$traffic"
assert_eq "noted" true "$(load swap status --json | jq .last_swap.successful)"
new=$(id_of program)
assert_eq "kept" "$old" "$(id_of program_previous)"
assert_eq "manifest" "$new $old" "$(jq -r '"\(.program.id) \(.previous.id)"' "$run/state.json")"
echo "$new" >$module/program/id
before=$(state program program_previous)
mkdir "$run/state.json.part"
assert_refused "rollback" "write .*state.json.part" load swap rollback
rmdir "$run/state.json.part"
unchanged "rollback" "$before" "$(state program program_previous)"
load swap rollback
assert_eq "program" "$old" "$(id_of program)"
assert_eq "manifest" "$old $new" "$(jq -r '"\(.program.id) \(.previous.id)"' "$run/state.json")"
echo "$old" >$module/program/id

step "after a swap that was killed"
bpftool prog load "$NFBPF_OBJECT_DIR/deny.bpf.o" $pins/program_next type socket 2>/dev/null
load swap swap "$traffic"
assert_eq "kept" "$old" "$(id_of program_previous)"
new=$(id_of program)
echo "$new" >$module/program/id
mv $pins/program $pins/program_aside # as on kernels whose bpffs cannot exchange
bpftool prog load "$NFBPF_OBJECT_DIR/deny.bpf.o" $pins/program type socket 2>/dev/null
load swap rollback
assert_eq "kept" "$new" "$(id_of program_previous)"
assert_eq "program" "$old" "$(id_of program)"
assert_eq "pins" "fence fence_post links maps program program_previous series" "$(cd $pins && echo *)"
echo "$old" >$module/program/id

kept() { if [ -e $pins/program_previous ]; then id_of program_previous; else echo null; fi; }
# Manifest and pins agree, and the module runs what they say.
assert_settled() { # WHAT PROGRAM PREVIOUS|null
    assert_eq "$1" "$2 $3 $2 $3" "$(id_of program) $(kept) $(jq -r '"\(.program.id) \(.previous.id)"' "$run/state.json")"
    [ "$2" = "$(cat $module/program/id)" ] || fail "$1: the module runs $(cat $module/program/id)"
    [ ! -e "$run/state.json.part" ] || fail "$1: left state.json.part"
    [ -z "$(find $pins -name 'program_[!p]*' -o -name '*_aside' -o -name 'next_*' -o -name 'moved_*')" ] || fail "$1: left pins: $(cd $pins && echo *)"
}
settle() { assert_refused "the next swap" "does not exist" load swap swap "$work/none.bpf.o"; }
assert_settled "before" "$old" "$new"

step "a swap that is killed after the module has taken the program: it is completed"
cp "$run/state.json" "$work/before.json"
load swap swap "$traffic"
new=$(id_of program)
cp "$run/state.json" "$work/after.json"
killed_before_commit() { # as it stands when the module has the new program
    cp "$work/after.json" "$run/state.json.part"
    cp "$work/before.json" "$run/state.json"
    mv $pins/program_previous $pins/program_next
    bpftool prog load "$NFBPF_OBJECT_DIR/deny.bpf.o" $pins/program_previous type socket 2>/dev/null # of an earlier swap
    echo "$new" >$module/program/id
}
killed_before_commit
output=$(load swap status)
grep -q "but the module runs the program of id $new: a swap was killed" <<<"$output" || fail "status does not tell: $output"
load swap rollback 2>"$work/words"
cat "$work/words"
grep -q "killed after the module had taken its program" "$work/words" || fail "it does not say so"
echo "$old" >$module/program/id
assert_settled "rolled back" "$old" "$new"
load swap rollback
echo "$new" >$module/program/id
killed_before_commit
load swap attach --renew --program "$traffic"
assert_settled "renewed" "$new" "$old"
mv $pins/program_previous $pins/program_next # killed after the manifest, before the last rename
settle
assert_settled "after the manifest" "$new" "$old"

step "a swap that is killed before the module has taken the program: it is taken back"
cp "$work/before.json" "$run/state.json" # once more the state before that swap
rm $pins/program_previous
mv $pins/program $pins/program_next
bpftool prog load "$NFBPF_OBJECT_DIR/deny.bpf.o" $pins/program_previous type socket 2>/dev/null
earlier=$(id_of program_previous)
bpftool prog load "$NFBPF_OBJECT_DIR/traffic.bpf.o" $pins/program type socket 2>/dev/null
old=$(id_of program)
echo "$old" >$module/program/id
jq --argjson old "$old" --argjson earlier "$earlier" '.program.id = $old | .previous = (.program | .id = $earlier)' "$work/before.json" >"$run/state.json"
jq --argjson new "$(id_of program_next)" --argjson old "$old" '.program.id = $new | .previous = (.program | .id = $old)' "$run/state.json" >"$run/state.json.part"
cp "$run/state.json" "$work/before.json"
mv $pins/program $pins/spare && mv $pins/program_next $pins/program && mv $pins/spare $pins/program_next # exchanged
settle
assert_settled "exchanged" "$old" "$earlier"
mv $pins/program $pins/program_aside # the first of three steps
bpftool prog load "$NFBPF_OBJECT_DIR/deny.bpf.o" $pins/program_next type socket 2>/dev/null
settle
assert_settled "one step of three" "$old" "$earlier"

step "a rollback that is killed"
mv $pins/program $pins/spare && mv $pins/program_previous $pins/program && mv $pins/spare $pins/program_previous
jq '. as $was | .program.id = $was.previous.id | .previous.id = $was.program.id' "$work/before.json" >"$run/state.json.part"
cp "$run/state.json.part" "$work/after.json"
settle
assert_settled "before the module was told" "$old" "$earlier"
mv $pins/program $pins/program_aside && mv $pins/program_previous $pins/program # two steps of three
settle
assert_settled "two steps of three" "$old" "$earlier"
mv $pins/program $pins/spare && mv $pins/program_previous $pins/program && mv $pins/spare $pins/program_previous
cp "$work/after.json" "$run/state.json.part"
echo "$earlier" >$module/program/id
load swap rollback
echo "$old" >$module/program/id
assert_settled "after the module was told, and rolled back once more" "$old" "$earlier"
mv $pins/program $pins/program_spare # killed while it tidied up
settle
assert_settled "from aside" "$old" "$earlier"
echo '{"datapath": "k' >"$run/state.json.part" # killed while it wrote
settle
assert_settled "half a manifest" "$old" "$earlier"

step "values with more members: the old rows move into a new map"
u64() { printf '%02x %02x %02x %02x 00 00 00 00' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
for i in 1 2 3; do # of all CPUs the same, so the sums are as many times that
    # shellcheck disable=SC2046 # words are bytes
    bpftool map update pinned "$pins/maps/nfbpf_ipv4" key hex 04 11 00 00 0a 00 00 01 0a 00 00 0$i \
        value hex $(u64 $((i * 1000))) $(u64 $((i * 70000)))
done
was() { map_sum "$pins/maps/nfbpf_ipv4" "$1"; }
packets=$(was packets) bytes=$(was bytes)
[ "$packets" -gt 0 ] || fail "the rows were not made"
before=$(state program program_previous)
rm $module/parameters/bpf_path
mkdir $module/parameters/bpf_path
assert_refused "the module refuses" "parameters/bpf_path" load swap swap "$build/tests/bpf/grown.bpf.o"
rmdir $module/parameters/bpf_path
unchanged "the module refuses" "$before" "$(state program program_previous)"
load_module "$pins/program"
id_of program >$module/program/id
load swap swap "$build/tests/bpf/grown.bpf.o"
id_of program >$module/program/id
assert_eq "packets" "$packets" "$(was packets)"
assert_eq "bytes" "$bytes" "$(was bytes)"
assert_eq "a new member" 0 "$(was large_packets)"
assert_eq "rows" 3 "$(map_rows "$pins/maps/nfbpf_ipv4")"
assert_eq "pins" "fence fence_post links maps program series" "$(cd $pins && echo *)"
assert_refused "rollback" "no program is kept .*moved rows" load swap rollback
before=$(state program)
assert_refused "a member is gone" "value.bytes: is gone; .*--drop-members" load swap swap "$build/tests/bpf/shrunk.bpf.o"
assert_refused "a program that is not safe" "kernel: .*R[0-9] invalid mem access.*map_value_or_null" \
    load swap swap "$build/tests/bpf/not_safe.bpf.o"
unchanged "both" "$before" "$(state program)"
load swap swap --drop-members "$build/tests/bpf/shrunk.bpf.o"
id_of program >$module/program/id
assert_eq "packets" "$packets" "$(was packets)"

step "after a swap that was killed while rows moved"
bpftool map create $pins/next_nfbpf_ipv4 type percpu_hash key 12 value 24 entries 16 name nfbpf_ipv4
load swap swap --drop-members "$traffic"
id_of program >$module/program/id
assert_eq "packets" "$packets" "$(was packets)"
assert_eq "pins" "fence fence_post links maps program series" "$(cd $pins && echo *)"

step "killed while a kernel that cannot exchange pins did it in three steps"
bpftool map create $pins/maps/nfbpf_ipv4_aside type percpu_hash key 12 value 24 entries 16 name nfbpf_ipv4
mv $pins/maps/nfbpf_ipv4 $pins/next_nfbpf_ipv4 # one step
settle
assert_eq "packets" "$packets" "$(was packets)"
bpftool map create $pins/maps/nfbpf_ipv4_aside type percpu_hash key 12 value 24 entries 16 name nfbpf_ipv4
bpftool map create $pins/moved_nfbpf_ipv4 type array key 4 value 24 entries 1 name moved # two steps
settle
assert_eq "packets" "$packets" "$(was packets)"
assert_settled "pins" "$(id_of program)" "$(kept)"

step "killed while rows move, at many moments: the next swap moves the rest"
rows=4000
for i in $(seq $rows); do
    # shellcheck disable=SC2046 # words are bytes
    printf 'map update pinned %s key hex 04 11 00 00 0a 01 %02x %02x 0a 00 00 01 value hex %s %s\n' "$pins/maps/nfbpf_ipv4" \
        $((i >> 8)) $((i & 255)) "$(u64 "$i")" "$(u64 $((i * 100)))"
done >"$work/rows"
bpftool batch file "$work/rows" >"$work/rows.log" || fail "$(tail -3 "$work/rows.log")"
packets=$(was packets) bytes=$(was bytes)
next_swap=("$build/tests/bpf/grown.bpf.o") later_swap=(--drop-members "$traffic")
swapping() { # in the background; bpf_path is written when the module is told
    : >$module/parameters/bpf_path
    start_swapping
}
start_swapping() { # in the background, its process in $swapper; returns when the new maps are there
    "$build/exporter/loader/nfbpf-load" --pin-dir "$pins" --run-dir "$run" swap "${next_swap[@]}" >"$work/swap.log" 2>&1 &
    swapper=$!
    while [ ! -e $pins/moved_nfbpf_ipv4 ] && kill -0 $swapper 2>/dev/null; do :; done
}
swapping
from=$EPOCHREALTIME
while [ -e $pins/moved_nfbpf_ipv4 ]; do :; done
took=$(awk -v from="$from" -v to="$EPOCHREALTIME" 'BEGIN { print to - from }')
wait $swapper
id_of program >$module/program/id
killed=0
for attempt in $(seq 12); do
    swapped=("${next_swap[@]}") next_swap=("${later_swap[@]}") later_swap=("${swapped[@]}")
    swapping
    sleep "$(awk -v took="$took" -v part="$attempt" 'BEGIN { print took * part / 13 }')"
    kill -9 $swapper 2>/dev/null && killed=$((killed + 1))
    wait $swapper 2>/dev/null || true
    [ ! -s $module/parameters/bpf_path ] || id_of program >$module/program/id
    load swap swap "${next_swap[@]}" >/dev/null 2>>"$work/resumed.log"
    id_of program >$module/program/id
    assert_settled "attempt $attempt" "$(id_of program)" "$(kept)"
    map=$(bpftool -j map show pinned "$pins/maps/nfbpf_ipv4" | jq .id)
    [ "$map" = "$(jq '.maps[] | select(.name == "nfbpf_ipv4").id' "$run/state.json")" ] || fail "attempt $attempt: the manifest names another map than $map"
    [ "$packets $bytes $((rows + 3))" = "$(was packets) $(was bytes) $(map_rows "$pins/maps/nfbpf_ipv4")" ] ||
        fail "after attempt $attempt: $packets $bytes is $(was packets) $(was bytes) in $(map_rows "$pins/maps/nfbpf_ipv4") rows"
done 2> >(grep -v Killed >&2)
resumed=$(grep -c 'map nfbpf_ipv4: an earlier swap was killed' "$work/resumed.log") || true
echo "   $killed killed, $resumed of them while rows moved"
[ "$resumed" -gt 0 ] || fail "no attempt was killed while rows moved"
[ ! -e $pins/moved_nfbpf_ipv4 ] && [ ! -e $pins/next_nfbpf_ipv4 ] || fail "left pins: $(find "$pins")"

step "another's module stays"
bpftool prog load "$NFBPF_OBJECT_DIR/deny.bpf.o" $pins/program_next type socket 2>/dev/null
sed -i 's/"datapath": "kmod"/"datapath": "pinned"/' "$run/state.json"
load_module /sys/fs/bpf/theirs/program
output=$(load swap detach 2>&1)
grep -q "module nfbpf stays loaded: it runs /sys/fs/bpf/theirs/program, which does not lie in $pins, and no manifest in $run" <<<"$output" || fail "$output"
echo "   $output"
[ ! -e "$pins" ] || fail "left pins: $(find "$pins")"
assert_refused "attach" "loaded already: detach first .*rmmod nfbpf" load swap attach --datapath pinned
load_module "$pins/program"
assert_refused "ours is to be removed" "remove module nfbpf" load swap detach
rm -r $module
