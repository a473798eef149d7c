#!/usr/bin/env bash
# Builds a free-threaded CPython into a folder, from Debian's source package.
# Usage: scripts/free_threaded_python.sh DIR            afterwards DIR/bin/python3.14t is there
#
#   SERIES=3.14            which Python
#   SOURCE=python.tar.xz   a source archive to use instead, a file or an address
#
# Needs a C compiler, make, and the headers of what Python's own modules use; on Debian:
#   apt-get install build-essential libssl-dev zlib1g-dev libffi-dev libsqlite3-dev
set -euo pipefail

[ $# = 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
target="$(cd "$1" && pwd)"
series="${SERIES:-3.14}"
python="$target/bin/python${series}t"
if [ -x "$python" ]; then
  echo "free_threaded_python: $python is there"
  exit 0
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# The source package, checked by apt against Debian's keys. Lists and mirror may be out of step, so
# older versions are tried when the newest is not to be had.
from_debian() {
  mkdir -p "$work"/{lists/partial,cache/archives/partial}
  for suite in testing sid; do
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
      "http://deb.debian.org/debian $suite main"
  done >"$work/sources.list"
  local options=(
    -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/nonexistent
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root
  )
  apt-get "${options[@]}" -q update >&2
  local versions version
  versions="$(apt-cache "${options[@]}" showsrc "python$series" | sed -n 's/^Version: //p' | sort -rVu)"
  for version in $versions; do
    if (cd "$work" && apt-get "${options[@]}" -q source --download-only "python$series=$version") >&2
    then
      ls "$work"/python*.orig.tar.xz
      return
    fi
  done
  echo "free_threaded_python: no source of python$series to be had (${versions//$'\n'/, });" \
    "give one as SOURCE=..." >&2
  return 1
}

case "${SOURCE:-}" in
  "") archive="$(from_debian)" ;;
  *://*) archive="$work/source.tar" && curl -sSfL -o "$archive" "$SOURCE" ;;
  *) archive="$SOURCE" ;;
esac
mkdir "$work/source"
tar -xf "$archive" -C "$work/source" --strip-components=1
cd "$work/source"
./configure -q --disable-gil --prefix="$target" CFLAGS="-O2 -g0"
make -s -j"$(nproc)" >"$work/make.log" 2>&1 || { tail -n 40 "$work/make.log" >&2; exit 1; }
make -s altinstall >"$work/make.log" 2>&1 || { tail -n 40 "$work/make.log" >&2; exit 1; }
if ! "$python" -c 'import ctypes, sqlite3, ssl, zlib'; then
  echo "free_threaded_python: install the headers named at the top of this script, then again" >&2
  rm -f "$python"
  exit 1
fi
"$python" -VV
