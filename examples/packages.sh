# Lists and installs the packages that building and testing need. Sourced by quickstart.sh and
# tests/run.sh; POSIX sh.
MOLINK_PACKAGES="cmake ninja-build g++ pkg-config libzmq3-dev cppzmq-dev libsodium-dev \
libflatbuffers-dev flatbuffers-compiler libfmt-dev libhwy-dev nlohmann-json3-dev libpcre2-dev \
libutf8proc-dev libcli11-dev libboost-dev libssl-dev"
MOLINK_TEST_PACKAGES="catch2 libopenblas-dev python3-minimal"

# molink_install PACKAGE...: installs missing packages. If it cannot, it names them and exits.
molink_install() {
    missing=""
    for package in "$@"; do
        if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed"; then
            missing="$missing $package"
        fi
    done
    [ -n "$missing" ] || return 0
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        as_root="sudo"
    fi
    if ! command -v apt-get >/dev/null 2>&1 ||
        { [ -n "$as_root" ] && ! command -v sudo >/dev/null 2>&1; }; then
        echo "These packages are missing and cannot be installed from here:$missing" >&2
        echo "Install them (Debian 12 and Ubuntu 24.04 have them), then run this again." >&2
        exit 1
    fi
    echo "Installing:$missing"
    # shellcheck disable=SC2086
    { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null; } || {
        echo "apt-get failed. Needed:$missing" >&2
        exit 1
    }
}
