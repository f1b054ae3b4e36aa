#!/bin/sh
# Installs what is needed, builds, and runs every test that needs no GPU. Ends with ctest's summary.
set -eu
cd "$(dirname "$0")/.."
. examples/packages.sh

# shellcheck disable=SC2086
molink_install $MOLINK_PACKAGES $MOLINK_TEST_PACKAGES

cmake --preset test
cmake --build --preset test
ctest --test-dir build/test --output-on-failure --label-exclude "bench" "$@"
