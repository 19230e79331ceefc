# Makes sure that the programs which the scripts of dev/ call are there. Sourced, never run.
#
#   ensure nix sshd systemd-nspawn ip sudo git
#
# What is there already is used as it is. What is missing is installed with apt on Debian and its kin, but never on a
# machine whose Nix lives in the Nix store: its owner manages programs in another way, so the missing ones are only named.
# shellcheck shell=bash

# Daemons and administration tools live in sbin, which is not on every user's PATH. They are looked for last, so that
# nothing of the user's own is hidden.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# ensure_die MESSAGE..: one line per argument, then exit 2.
ensure_die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  shift
  (($# == 0)) || printf '  %s\n' "$@" >&2
  exit 2
}

# The Debian package that brings a program.
ensure_package_of() {
  case $1 in
    nix | nix-daemon | nix-env | nix-instantiate | nix-store) echo nix-bin ;;
    sshd) echo openssh-server ;;
    ssh | ssh-keygen | ssh-keyscan) echo openssh-client ;;
    systemd-nspawn) echo systemd-container ;;
    ip) echo iproute2 ;;
    flock | nsenter | mount | umount | setsid) echo util-linux ;;
    python3) echo python3-minimal ;;
    wg) echo wireguard-tools ;;
    htpasswd) echo apache2-utils ;;
    chpasswd) echo passwd ;;
    awk) echo mawk ;;
    groff) echo groff-base ;;
    cc) echo build-essential ;;
    script) echo bsdutils ;;
    column) echo bsdextrautils ;;
    *) echo "$1" ;;
  esac
}

# The Nix command of this machine comes from the Nix store: NixOS, or Nix installed by its own installer.
ensure_nix_is_in_the_store() {
  local nix
  nix=$(command -v nix) && [[ $(readlink -f -- "$nix") == /nix/store/* ]]
}

# Whether programs that are missing here are installed, rather than only named.
ensure_installs() {
  ! ensure_nix_is_in_the_store && command -v apt-get >/dev/null && ((EUID == 0))
}

# Installs packages without starting or enabling a daemon that was not there before.
ensure_apt_install() {
  local policy=/usr/sbin/policy-rc.d had_sshd='' log status=0
  command -v sshd >/dev/null && had_sshd=1
  log=$(mktemp)
  printf '%s: installing with apt: %s\n' "${0##*/}" "$*" >&2
  (
    # Debian asks this file before it starts a daemon. It goes again however this ends.
    if [[ ! -e $policy ]]; then
      trap 'rm -f "$policy"' EXIT
      trap 'exit 130' INT TERM HUP
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # The package lists of a fresh machine or container are empty; elsewhere they may be old but good enough.
    apt-get install -y --no-install-recommends "$@" ||
      { apt-get update && apt-get install -y --no-install-recommends "$@"; }
  ) >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    tail -n 20 "$log" >&2
    rm -f "$log"
    ensure_die "apt could not install: $*" "Install them by hand, then run this again."
  fi
  rm -f "$log"
  # Only the programs are wanted: an ssh server that nobody asked for must not come up with the next boot.
  if [[ -z $had_sshd && " $* " == *" openssh-server "* && -d /run/systemd/system ]]; then
    systemctl disable --quiet ssh.service ssh.socket 2>/dev/null || :
  fi
}

# ensure PROGRAM..
ensure() {
  local program package missing=() packages=()
  for program in "$@"; do
    command -v "$program" >/dev/null && continue
    missing+=("$program")
    package=$(ensure_package_of "$program")
    [[ " ${packages[*]} " == *" $package "* ]] || packages+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  if ensure_nix_is_in_the_store; then
    ensure_die "missing on this machine: ${missing[*]}" \
      "Add them to your configuration or shell (Debian calls the packages: ${packages[*]}), then run this again."
  fi
  if ! command -v apt-get >/dev/null; then
    ensure_die "missing on this machine: ${missing[*]}" \
      "This is not Debian, so nothing is installed for you. Install them (Debian's packages: ${packages[*]}) and run this again."
  fi
  if ((EUID != 0)); then
    ensure_die "missing on this machine: ${missing[*]}" \
      "Run this as root, or first: sudo apt-get install --no-install-recommends ${packages[*]}"
  fi
  ensure_apt_install "${packages[@]}"
  hash -r
  for program in "${missing[@]}"; do
    command -v "$program" >/dev/null ||
      ensure_die "$program is still missing after installing $(ensure_package_of "$program")"
  done
}

# ensure_python MODULE..: modules of Python, which are no programs: for the first python3 on PATH, or the one of the machine itself.
ensure_python() {
  local module
  for module in "$@"; do
    python3 -c "import $module" 2>/dev/null && continue
    /usr/bin/python3 -c "import $module" 2>/dev/null && continue
    ensure_installs || ensure_die "Python's module $module is missing (Debian calls the package: python3-$module)"
    ensure_apt_install "python3-$module"
  done
}

# What a user who builds the lab's fleet wants of Nix; goes into NIX_CONFIG, so that no file of the machine changes.
# Without substituters nothing waits for a public cache that the fleet does not need. The sandbox is off because the
# fleet's builders are the machine's own /bin/sh and coreutils.
ensure_nix_config() {
  printf '%s\n' 'experimental-features = nix-command flakes' 'substituters =' 'sandbox = false' 'build-users-group ='
}
