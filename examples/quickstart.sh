#!/bin/sh
# Builds MoLink and runs a head and two workers as three processes on this machine. They split the
# bundled model and stream a passage to the terminal.
set -eu
cd "$(dirname "$0")/.."
. examples/packages.sh

# shellcheck disable=SC2086
molink_install $MOLINK_PACKAGES

echo "Building (the first time takes some minutes) ..."
log=build/quickstart.log
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "The build failed; the whole log is in $log" >&2
    exit 1
fi

bin=build/release/bin
model=examples/models/kjv
work=$(mktemp -d)
workers=""
# shellcheck disable=SC2317
cleanup() {
    for pid in $workers; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

"$bin/molink-generate" --model "$model" --stages 3 --partitioner even --threads 1 --name head \
    --address-file "$work/address" --max-tokens "${MOLINK_TOKENS:-160}" \
    --prompt "${1:-In the beginning}" &
head=$!
workers="$head"
tries=0
while [ ! -s "$work/address" ] && [ "$tries" -lt 300 ] && kill -0 "$head" 2>/dev/null; do
    sleep 0.1
    tries=$((tries + 1))
done
address=$(cat "$work/address" 2>/dev/null || true)
if [ -n "$address" ]; then
    for name in worker-a worker-b; do
        "$bin/molink-worker" --model "$model" --join "$address" --threads 1 --name "$name" &
        workers="$workers $!"
    done
fi
status=0
wait "$head" || status=$?
exit "$status"
