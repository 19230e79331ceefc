# shellcheck shell=bash
# The Debian roots of dev/in-trixie: how it is made (trixie_prepare) and how a command is run in it (trixie_enter).
# Sourced, never run. Needs bash 4.4, root, util-linux.

# Whatever changes what is in the root belongs in this text: a root whose stamp differs from it is made anew.
TRIXIE_SUITE=trixie
TRIXIE_MIRROR=${HUBCTL_TRIXIE_MIRROR:-http://deb.debian.org/debian}
TRIXIE_PACKAGES="nix-bin git openssh-client openssh-server systemd systemd-sysv dbus systemd-container iproute2 sudo"
TRIXIE_PACKAGES+=" libpam-systemd ca-certificates procps age openssl wireguard-tools apache2-utils"
TRIXIE_STAMP="recipe 1: $TRIXIE_PACKAGES"
TRIXIE_STAMP_FILE=etc/hubctl-trixie

trixie_say() { printf 'dev/in-trixie: %s\n' "$*" >&2; }

trixie_die() {
  trixie_say "$@"
  exit 2
}

# The folder that holds the root, its lock and the log of its making.
trixie_home() {
  if [[ -n ${XDG_CACHE_HOME:-} ]]; then
    printf '%s/hubctl/%s' "$XDG_CACHE_HOME" "$TRIXIE_SUITE"
  elif [[ -n ${HOME:-} ]]; then
    printf '%s/.cache/hubctl/%s' "$HOME" "$TRIXIE_SUITE"
  else
    trixie_die "neither XDG_CACHE_HOME nor HOME is set: set one, the root is kept under it"
  fi
}

# trixie_is_current ROOT: the root is complete and made from today's recipe. Forks nothing, as each run asks it.
trixie_is_current() {
  local stamp
  [[ -r $1/$TRIXIE_STAMP_FILE ]] && stamp=$(<"$1/$TRIXIE_STAMP_FILE") && [[ $stamp == "$TRIXIE_STAMP" ]]
}

# trixie_in_use ROOT: some process has this folder as its root, so deleting it would pull the floor from under a run.
trixie_in_use() {
  local proc
  for proc in /proc/[0-9]*/root; do
    [[ $proc -ef $1 ]] && return 0
  done
  return 1
}

trixie_need_debootstrap() {
  command -v debootstrap >/dev/null && return 0
  if ! command -v apt-get >/dev/null; then
    trixie_die "debootstrap is missing: install it with this machine's package manager, then run the command again"
  fi
  trixie_say "installing debootstrap"
  # A machine that was just installed has no package lists yet; one that has them need not fetch them again.
  if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap debian-archive-keyring; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap debian-archive-keyring
  fi >&2
}

# trixie_prepare HOME: leaves a complete root at HOME/root, made now if it is missing or from another recipe.
trixie_prepare() {
  local home=$1 root=$1/root new log=$1/make.log stale
  trixie_is_current "$root" && return 0

  mkdir -p "$home"
  exec {lock}>"$home/lock"
  if ! flock -n "$lock"; then
    trixie_say "waiting for another run that is making the root"
    flock "$lock"
  fi
  # Whoever held the lock may have made what is wanted.
  if trixie_is_current "$root"; then
    exec {lock}>&-
    return 0
  fi
  trixie_need_debootstrap

  # With the lock held, whatever lies aside is left from a run that was killed, or was in use when it was replaced.
  for stale in "$home"/new.* "$home"/old.*; do
    [[ -d $stale ]] && ! trixie_in_use "$stale" && rm -rf --one-file-system "$stale"
  done
  new=$(mktemp -d "$home/new.XXXXXXXX")
  chmod 755 "$new"

  trixie_say "making a Debian $TRIXIE_SUITE root with Nix in $root (once; about half a minute, more on a slow network)"
  # In a mount namespace of its own: what debootstrap and the packages mount is gone when this ends, however it ends.
  # shellcheck disable=SC2016 # "$@" belongs to the inner shell.
  if ! unshare --mount --propagation slave -- "$BASH" -c '. "$1" && trixie_make "$2" "$3"' in-trixie \
    "${BASH_SOURCE[0]}" "$new" "$TRIXIE_SUITE" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -rf --one-file-system "$new"
    trixie_die "could not make the root: the lines above end $log;" \
      "if the mirror $TRIXIE_MIRROR cannot be reached, name another in HUBCTL_TRIXIE_MIRROR"
  fi

  if [[ -e $root ]]; then
    stale=$(mktemp -d "$home/old.XXXXXXXX")
    mv -T "$root" "$stale"
    mv -T "$new" "$root"
    trixie_in_use "$stale" || rm -rf --one-file-system "$stale"
  else
    mv -T "$new" "$root"
  fi
  exec {lock}>&-
}

# trixie_make ROOT SUITE: fills an empty folder. Runs in a mount namespace of its own.
trixie_make() {
  set -euo pipefail
  local root=$1 suite=$2 newest=/usr/share/debootstrap/scripts/sid script=() of_any_age=() unit
  # The caller's locale and its maintainer-script settings need not exist in there.
  export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  unset TMPDIR

  # A suite that is younger than this machine's debootstrap is made as the newest one is.
  [[ -e ${newest%/*}/$suite || ! -e $newest ]] || script=("$newest")
  debootstrap --variant=minbase "$suite" "$root" "$TRIXIE_MIRROR" "${script[@]}"

  # The root can be made again at any time: syncing each file to disk would only cost time. Nobody reads its manuals.
  cat >"$root/etc/dpkg/dpkg.cfg.d/hubctl" <<'CONF'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
CONF
  # No package may start its service on the machine that makes the root.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"

  # debootstrap's own unpacking leaves a resolv.conf that is only a copy; a run binds the machine's over it.
  rm -f "$root/etc/resolv.conf"
  cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || : >"$root/etc/resolv.conf"
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/run"
  # Of a suite that moves, a mirror that is behind has lists that are past their time. Whose they are is checked all the same,
  # and debootstrap has just taken the root's first half from them.
  [[ $suite == trixie ]] || of_any_age=(-o Acquire::Check-Valid-Until=false)
  chroot "$root" apt-get update -q "${of_any_age[@]}"
  # shellcheck disable=SC2086 # A list of words.
  chroot "$root" apt-get install -y -q --no-install-recommends $TRIXIE_PACKAGES
  chroot "$root" apt-get clean
  rm -rf "$root"/var/lib/apt/lists/* "$root/usr/sbin/policy-rc.d" "$root/usr/share/doc" "$root/usr/share/man"
  : >"$root/etc/resolv.conf"
  echo "$suite" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
  # Host keys and the machine id are a host's own: whoever boots a host from this root gives it new ones.
  rm -f "$root"/etc/ssh/ssh_host_*
  : >"$root/etc/machine-id"

  # For the hosts that are booted from it. Each of these mounts costs a booting host up to a second, as systemd paces
  # mount jobs once it has seen several mounts; nobody needs them. The timers would only ask the network for updates.
  # Masked outside /etc, which is a host's own.
  mkdir -p "$root/usr/local/lib/systemd/system"
  for unit in var-lib-machines.mount run-lock.mount dev-hugepages.mount sys-fs-fuse-connections.mount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer; do
    ln -s /dev/null "$root/usr/local/lib/systemd/system/$unit"
  done
  # Otherwise each first boot takes the root for one that was just upgraded, and rebuilds its caches.
  chroot "$root" /usr/lib/systemd/systemd-update-done

  # Root builds without build users and without a sandbox, and nothing is ever asked of a public cache.
  mkdir -p "$root/etc/nix"
  cat >"$root/etc/nix/nix.conf" <<'CONF'
build-users-group =
sandbox = false
substituters =
experimental-features = nix-command flakes
CONF
  chroot "$root" nix-store --init
  chroot "$root" nix --version

  # Last, as it says that all of the above was done.
  printf '%s\n' "$TRIXIE_STAMP" >"$root/$TRIXIE_STAMP_FILE"
}

# trixie_enter ROOT REPO EXTRA COMMAND..: becomes COMMAND, with ROOT as its root. EXTRA: folders to show, separated by
# newlines. Runs in a mount namespace of its own, which ends with the last process in it: even a kill -9 leaves nothing
# mounted.
trixie_enter() {
  set -Eeuo pipefail
  local root=$1 repo=$2 extra=$3 here dir path
  local -a shown=() kept=() dirs
  shift 3
  here=$(pwd -P)
  trap 'trixie_die "could not enter $root: the line above says why"' ERR

  # pivot_root wants a mount point. A chroot would be simpler, but programs can tell (and leave) a chroot.
  mount --bind "$root" "$root"
  # Nix's store is the root's own and outlives the run, all else in the root is read-only: no run can spoil the next one's.
  mount --bind "$root/nix" "$root/nix"
  mount -t tmpfs -o mode=1777 tmpfs "$root/var/tmp"
  for dir in /proc /sys /dev /run /tmp; do
    mount --rbind "$dir" "$root$dir"
    shown+=("$dir")
  done

  # systemd refuses the old layout of control groups since version 256; the unified one can be mounted beside it, without
  # controllers, which is all that its services need.
  if [[ ! -e /sys/fs/cgroup/cgroup.procs ]]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  fi

  # A home of the run's own: what is cached in the machine's is of another Nix.
  if [[ ${HOME:-/} == /?* ]] && ! trixie_shown "$HOME"; then
    mkdir -p "$root$HOME"
    mount -t tmpfs -o mode=0700 tmpfs "$root$HOME"
  fi
  trixie_show "$repo"
  # A linked work tree keeps its objects and refs elsewhere.
  if [[ -f $repo/.git ]] && dir=$(git -C "$repo" rev-parse --path-format=absolute --git-common-dir 2>/dev/null); then
    trixie_show "$dir"
  fi
  for dir in "${CARGO_TARGET_DIR:-}" "${TMPDIR:-}" "${XDG_STATE_HOME:-}" "${XDG_CONFIG_HOME:-}" "${XDG_DATA_HOME:-}"; do
    [[ -z $dir ]] || trixie_show "$dir"
  done
  while IFS= read -r dir; do
    [[ -z $dir ]] || trixie_show "$dir"
  done <<<"$extra"
  for dir in "${CARGO_HOME:-${HOME:-}/.cargo}" "${RUSTUP_HOME:-${HOME:-}/.rustup}"; do
    trixie_show "$dir" ro
  done
  for path in /etc/resolv.conf /etc/hosts; do
    [[ ! -e $path ]] || mount --bind -o ro "$path" "$root$path"
  done
  [[ -d $root$here ]] ||
    trixie_die "the working directory $here is not visible inside: add --bind $here, or start from $repo or /tmp"
  mount -o remount,bind,ro "$root"

  # What PATH names of the machine's own system is another system's in there: only folders that are shown keep their place.
  IFS=: read -ra dirs <<<"${PATH:-}"
  for dir in "${dirs[@]}"; do
    if [[ $dir == /* ]] && trixie_shown "$dir"; then kept+=("$dir:"); fi
  done
  printf -v path '%s' "${kept[@]}"

  cd "$root"
  pivot_root . mnt
  # From here on each program that is started is the root's.
  export PATH="${path}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  umount -l /mnt
  cd "$here"
  unset OLDPWD
  if ! type -P -- "$1" >/dev/null; then
    trixie_say "there is no command $1 inside"
    exit 127
  fi
  exec -- "$@"
}

# trixie_shown PATH: PATH lies in what is bound already. Reads trixie_enter's `shown`.
trixie_shown() {
  local dir
  for dir in "${shown[@]}"; do
    [[ $1 == "$dir" || $1 == "$dir"/* ]] && return 0
  done
  return 1
}

# trixie_show DIR [ro]: binds a folder of the machine at the same path, if it is there. Reads trixie_enter's `root` and
# adds to its `shown`.
trixie_show() {
  local dir
  dir=$(realpath -e -- "$1" 2>/dev/null) && [[ -d $dir && $dir != / ]] || return 0
  ! trixie_shown "$dir" || return 0
  mkdir -p "$root$dir"
  mount --rbind "$dir" "$root$dir"
  [[ ${2:-} != ro ]] || mount -o remount,bind,ro "$root$dir"
  shown+=("$dir")
}
