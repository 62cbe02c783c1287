# Shared by ./up and ./check: the system, its packages, the virtual environment. Sourced with the repository as the
# working directory. A second run finds everything in place and does nothing.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C.UTF-8
VENV=.venv

# fail STEP WHAT REMEDY: say which step failed, why, and what to do, and stop.
fail() {
  printf '\n%s\n' "✗ $1: $2" >&2
  [ -z "${3:-}" ] || printf '%s\n' "  → $3" >&2
  exit 1
}

say() { printf '%s\n' "• $*"; }

require_debian_12() {
  local id version
  id=$(. /etc/os-release 2>/dev/null; echo "${ID:-unknown}") || id=unknown
  version=$(. /etc/os-release 2>/dev/null; echo "${VERSION_ID:-}") || version=
  if [ "$id" != debian ] || [ "$version" != 12 ]; then
    fail "system" "this is $id $version; Yun is made for Debian 12" "use a Debian 12 machine, real or virtual"
  fi
}

names_in() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@"; }

# missing_packages FILE...: the packages listed there that are not installed
missing_packages() {
  comm -23 <(names_in "$@" | sort -u) \
           <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u)
}

install_packages() {
  local missing log
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || fail "packages" "these are missing: $(echo $missing)" "run as root, or apt-get install them"
  say "installing distribution packages: $(echo $missing)"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get -q -o DPkg::Lock::Timeout=300 update &&
         apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends $missing; } \
       >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    fail "packages" "apt-get failed, see above (whole log: $log)" \
         "check the network and /etc/apt/sources.list, then run this again; what is installed already is kept"
  fi
  rm -f "$log"
}

# make_venv EXTRAS STAMP: the virtual environment has the project and EXTRAS; nothing is done where the stamp holds.
# What ./check needs contains what ./up needs, so its stamp holds for both.
make_venv() {
  local extras=$1 stamp=$VENV/.yun-$2 wanted log known
  wanted="$(sha256sum < pyproject.toml) $(/usr/bin/python3 -V) $PWD"
  for known in "$stamp" $VENV/.yun-check; do
    if [ -x $VENV/bin/python ] && [ -f "$known" ] && [ "$(cat "$known")" = "$wanted" ]; then return 0; fi
  done
  log=$(mktemp)
  say "preparing the Python environment in $VENV"
  if ! $VENV/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
     ! $VENV/bin/python -m pip --version >/dev/null 2>&1 ||
     [ "$($VENV/bin/python -c 'import sys; print(sys.prefix)' 2>/dev/null)" != "$PWD/$VENV" ]; then
    rm -rf $VENV
    /usr/bin/python3 -m venv $VENV >"$log" 2>&1 || { cat "$log" >&2; fail "python" "no virtual environment could be made" \
      "check that $PWD is writable and has 1 GB of free space"; }
  fi
  if ! $VENV/bin/python -m pip install --disable-pip-version-check -q -e ".[$extras]" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    fail "python" "pip failed, see above (whole log: $log)" \
         "check that the Python package index can be reached (pip's own settings and proxies are honoured)"
  fi
  printf '%s' "$wanted" > "$stamp"
  rm -f "$log"
}

# One at a time: two runs must not build the same environment.
only_one() {
  exec 9> .yun-setup.lock
  flock -w 900 9 || fail "lock" "another ./up or ./check is still preparing" "wait for it, or end it"
}
