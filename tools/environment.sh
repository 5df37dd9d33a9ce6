#!/bin/sh
# Makes .venv and installs the given requirement files into it, with the `earshot` command.
#
#     sh tools/environment.sh NAME REQUIREMENTS...
#
# A copy of the files is kept as .venv/.installed-NAME once all is in: while it matches, there is nothing to do. An install
# that was interrupted leaves .venv/.unfinished behind, and the environment is then made anew (pip's cache makes that quick).
set -eu

name=$1
shift
venv=${VENV:-.venv}
python=$venv/bin/python
stamp=$venv/.installed-$name
unfinished=$venv/.unfinished
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo "

say() { printf '%s\n' "$*" >&2; }

usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    say "Earshot needs Python 3.11 to 3.14, and there is none on the PATH. On Debian or Ubuntu:"
    if command -v python3 >/dev/null; then
        say "    ${sudo}apt-get install -y python3.11 python3.11-venv"
    else
        say "    ${sudo}apt-get install -y python3 python3-venv"
    fi
    return 1
}

make_venv() {
    base=$(find_python) || exit 1
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        say "This Python cannot make virtual environments. On Debian or Ubuntu:"
        say "    ${sudo}apt-get install -y $(basename "$base")-venv"
        exit 1
    fi
    "$base" -m venv --clear "$venv"
}

if [ -e "$unfinished" ] || ! usable "$python" || ! "$python" -c 'import pip' 2>/dev/null; then
    make_venv
fi
if ! cat "$@" pyproject.toml | cmp -s - "$stamp"; then
    say "Installing $* into $venv: several minutes and about 6 GB the first time."
    touch "$unfinished"
    options= peers=
    for file in "$@"; do
        case $file in
        *peers*) peers="$peers -r $file" ;; # what these ask for beside themselves would replace half of ours
        *) options="$options -r $file" ;;
        esac
    done
    # shellcheck disable=SC2086  (the options are meant to be split)
    "$python" -m pip install --quiet --disable-pip-version-check $options
    # shellcheck disable=SC2086
    [ -z "$peers" ] || "$python" -m pip install --quiet --disable-pip-version-check --no-deps $peers
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --editable .
    cat "$@" pyproject.toml >"$stamp"
    rm "$unfinished"
fi
