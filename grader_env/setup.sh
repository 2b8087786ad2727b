#!/usr/bin/env bash
# Makes .venv at the project's root: the packages of lock.txt and torchgrade itself, with pip alone. Run it as `make`.
#
#   PYTHON       the interpreter (default: the one .venv was made with, else python3)
#   TORCH_INDEX  an index to take torch from, read when .venv is first made (for PyTorch's CPU wheels, say)
#
# The stamp is written last. Without it the next run starts over; with it, a changed lock is installed in place, so
# that a failure (no network) leaves a working .venv. Every failure is one line with its remedy and exit code 2.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=grader_env/requirements/lock.txt
log=build/setup.log
stamp=.venv/setup-done # three lines: where .venv was made (it cannot be moved), its Python, what it holds

# Without a network pip should say so soon; your own PIP_* settings win.
export PIP_RETRIES=${PIP_RETRIES:-1} PIP_DEFAULT_TIMEOUT=${PIP_DEFAULT_TIMEOUT:-20}

fail() {
    echo "setup: $*" >&2
    exit 2
}

stamped() { sed -n "$1p" $stamp 2>/dev/null || true; }

pip_install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@" >>$log 2>&1 || fail "$(why_pip_failed)"
}

why_pip_failed() {
    if grep -q 'No space left on device' $log; then
        echo "the disk is full. Free about 8 GB, then run make again. Details: $log"
    elif grep -qE 'connection broken by|ConnectionError|ReadTimeout|IncompleteRead|Max retries|SSLError|ProxyError' $log; then
        echo "pip reaches no package index. Check the network or your proxy, then run make again. Details: $log"
    else
        echo "pip failed ($(grep '^ERROR' $log | tail -1)). Once that is mended, run make again. Details: $log"
    fi
}

python=${PYTHON:-python3}
if [ -z "${PYTHON:-}" ] && [ "$(stamped 1)" = "$PWD" ] && [ -x .venv/bin/python ]; then python=.venv/bin/python; fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "no Python at '$python'. Install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3.11"
case $version in
3.1[1-9]) ;;
*) fail "'$python' is Python $version; the course needs 3.11 or newer. Name one: make PYTHON=python3.11" ;;
esac

holds=$(cat $lock pyproject.toml | cksum)
[ "$(stamped 1),$(stamped 2),$(stamped 3)" != "$PWD,$version,$holds" ] || exit 0

mkdir -p build
: >$log
if [ "$(stamped 1),$(stamped 2)" != "$PWD,$version" ]; then
    "$python" -c 'import ensurepip, venv' >>$log 2>&1 ||
        fail "Python $version lacks its venv module. Install it (Debian, Ubuntu: apt install python$version-venv), then run make again."
    echo "setup: making .venv with Python $version"
    "$python" -m venv --clear .venv >>$log 2>&1 ||
        fail "could not make .venv. Check that $PWD is writable and has 8 GB free, then run make again. Details: $log"
fi

echo "setup: installing $(grep -c == $lock) pinned packages; PyTorch is large, so this takes minutes. Follow it in $log"
[ -z "${TORCH_INDEX:-}" ] || pip_install --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' $lock)"
pip_install -r $lock
pip_install --no-deps --no-build-isolation --editable .

printf '%s\n' "$PWD" "$version" "$holds" >$stamp.new
mv $stamp.new $stamp
echo "setup: done. The course is installed in .venv; next: make demo"
