# The disk of a lab host: two read-only layers that all hosts of a lab share, and a small layer of its own.
# Sourced by dev/lab, never run.
#
# A host sees, from top to bottom: its own layer (its disk, the only one that is written), `files` (what a lab host has
# and the machine has not), `hidden` (whiteouts over what is the machine's own business: homes, services, logs, keys),
# and the machine's root. Two layers instead of one, because a name can be hidden and given anew only in two steps
# unless directories are marked with extended attributes, and the tool for those is seldom installed.
# shellcheck shell=bash

# Set by dev/lab before anything here is called: where the lab keeps its state, whose programs the hosts run, and the
# store path of Nix where the hosts need a copy of it.
: "${lab_state:=}" "${lab_root:=/}" "${lab_nix_package:=}"

# The fixed password of the lab's users; `dev/lab env` prints it. The hosts are reachable from this machine only.
LAB_PASSWORD=lab

# As on NixOS the running system's own programs come first, and there is no login shell that would set a longer PATH.
LAB_HOST_PATH=/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# disk_check_root ROOT: the lab's hosts run the programs of ROOT, so that it has to bring them.
disk_check_root() {
  local root=${1%/} program missing=()
  [[ -d $root/etc ]] || die "no root file system in $1: --root wants the folder of one"
  for program in lib/systemd/systemd bin/bash sbin/sshd bin/sudo bin/nix-daemon; do
    # With Nix in the machine's store the hosts get a copy of it.
    [[ $program != bin/nix-daemon || -z $lab_nix_package ]] || continue
    [[ -x $root/usr/$program || -x $root/$program || -x $root/usr/${program/sbin/bin} ]] || missing+=("${program##*/}")
  done
  ((${#missing[@]} == 0)) ||
    die "the hosts run the programs of $1, and there is no ${missing[*]} under $1/usr" \
      "On a machine with another layout (NixOS) give the folder of a Debian root: dev/lab up --root DIR, or HUBCTL_LAB_ROOT=DIR." \
      "dev/in-trixie --prepare makes one and prints where it is."
}

# disk_hide DIR NAME..: a whiteout for each name in the layer DIR.
disk_hide() {
  local layer=$1 name
  shift
  for name in "$@"; do
    mkdir -p "$layer/$(dirname "$name")"
    mknod "$layer/$name" c 0 0
  done
}

# disk_hidden LAYER ROOT: what a lab host does not take over from the machine.
disk_hidden() {
  local layer=$1 root=${2%/} path name
  mkdir -p "$layer"
  for path in "$root"/* "$root"/.[!.]*; do
    name=${path##*/}
    [[ -e $path && ! -L $path ]] || continue
    case $name in
      bin | sbin | lib | lib32 | lib64 | libx32 | usr | etc) ;;
      *) disk_hide "$layer" "$name" ;;
    esac
  done
  # Services, schedules, mounts, keys and network set-up of the machine; none may come up or be seen in a host.
  local own=(systemd/system init.d rc0.d rc1.d rc2.d rc3.d rc4.d rc5.d rc6.d rcS.d ssh sudoers sudoers.d nix fstab
    crypttab hostname machine-id resolv.conf hosts NIXOS os-release cron.d cron.daily profile.d environment update-motd.d)
  for name in "${own[@]}"; do
    [[ ! -e $root/etc/$name && ! -L $root/etc/$name ]] || disk_hide "$layer" "etc/$name"
  done
}

# disk_users LAYER ROOT: the machine's system users, and the two that a deployment may log in as.
disk_users() {
  local layer=$1 root=${2%/} name uid file
  for file in passwd group shadow; do
    grep -Ev '^(operator|deployer):' "$root/etc/$file" >"$layer/etc/$file"
  done
  chmod 640 "$layer/etc/shadow"
  # Nobody logs in to a lab host with a password of the machine's users.
  awk -F: -v OFS=: '{ $2 = "*"; print }' "$layer/etc/shadow" >"$layer/etc/shadow.new"
  cat "$layer/etc/shadow.new" >"$layer/etc/shadow"
  rm "$layer/etc/shadow.new"
  awk -F: -v OFS=: '$1 == "root" { $7 = "/bin/bash" } { print }' "$layer/etc/passwd" >"$layer/etc/passwd.new"
  mv "$layer/etc/passwd.new" "$layer/etc/passwd"
  uid=48701
  for name in operator deployer; do
    printf '%s:x:%d:%d::/home/%s:/bin/bash\n' "$name" "$uid" "$uid" "$name" >>"$layer/etc/passwd"
    printf '%s:x:%d:\n' "$name" "$uid" >>"$layer/etc/group"
    printf '%s:*:19000:0:99999:7:::\n' "$name" >>"$layer/etc/shadow"
    install -d -m 700 -o "$uid" -g "$uid" "$layer/home/$name" "$layer/home/$name/.ssh"
    install -m 600 -o "$uid" -g "$uid" "$lab_state/key.pub" "$layer/home/$name/.ssh/authorized_keys"
    uid=$((uid + 1))
  done
  install -d -m 700 "$layer/root" "$layer/root/.ssh"
  install -m 600 "$lab_state/key.pub" "$layer/root/.ssh/authorized_keys"
}

disk_ssh() {
  local layer=$1
  mkdir -p "$layer/etc/ssh" "$layer/etc/pam.d" "$layer/etc/sudoers.d"
  # MaxStartups and MaxSessions are left at what sshd has built in, as on a real host.
  cat >"$layer/etc/ssh/sshd_config" <<TEXT
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
# What the ssh of Debian 12 would choose takes 80 ms of computing at each end; what newer ones choose is as cheap as this.
KexAlgorithms curve25519-sha256
UsePAM yes
UseDNS no
PrintMotd no
AcceptEnv LANG LC_*
SetEnv PATH=$LAB_HOST_PATH
Subsystem sftp internal-sftp
TEXT
  cat >"$layer/etc/pam.d/sshd" <<'TEXT'
auth       required  pam_unix.so
account    required  pam_nologin.so
account    required  pam_unix.so
session    required  pam_unix.so
-session   optional  pam_systemd.so
TEXT
  cat >"$layer/etc/pam.d/sudo" <<'TEXT'
auth       required  pam_unix.so
account    required  pam_unix.so
session    required  pam_unix.so
TEXT
  cat >"$layer/etc/sudoers" <<TEXT
Defaults secure_path="$LAB_HOST_PATH"
Defaults lecture=never
root     ALL=(ALL:ALL) ALL
operator ALL=(ALL:ALL) ALL
deployer ALL=(ALL:ALL) NOPASSWD: ALL
TEXT
  chmod 440 "$layer/etc/sudoers"
}

disk_nix() {
  local layer=$1
  mkdir -p "$layer/etc/nix" "$layer/etc/tmpfiles.d" "$layer/nix" "$layer/boot"
  cat >"$layer/etc/nix/nix.conf" <<'TEXT'
experimental-features = nix-command flakes
substituters =
sandbox = false
build-users-group =
trusted-users = root
allowed-users = *
TEXT
  # Everybody may talk to the daemon, as on NixOS; this file takes the place of Debian's, which thinks otherwise.
  cat >"$layer/etc/tmpfiles.d/nix-daemon.conf" <<'TEXT'
d /nix/var/nix/daemon-socket 0755 root root
d /nix/var/nix/gcroots/per-user 1777 root root
d /nix/var/nix/profiles/per-user 1777 root root
TEXT
}

# disk_unit LAYER NAME [TARGET]: writes the unit from stdin and lets TARGET want it.
disk_unit() {
  local units=$1/etc/systemd/system
  mkdir -p "$units${3:+/$3.wants}"
  cat >"$units/$2"
  [[ -z ${3:-} ]] || ln -s "../$2" "$units/$3.wants/$2"
}

disk_units() {
  local layer=$1 units=$1/etc/systemd/system sshd=/usr/sbin/sshd name
  [[ -x ${lab_root%/}$sshd ]] || sshd=/usr/bin/sshd
  mkdir -p "$units" "$layer/etc/systemd/journald.conf.d" "$layer/usr/local/libexec"
  ln -s /usr/lib/systemd/system/multi-user.target "$units/default.target"
  # Those that wait for passwords take inotify instances, of which all hosts and the machine's root share 128.
  for name in console-getty.service container-getty@.service systemd-timesyncd.service systemd-networkd.service \
    systemd-resolved.service systemd-firstboot.service systemd-ask-password-console.path systemd-ask-password-wall.path; do
    ln -s /dev/null "$units/$name"
  done

  disk_unit "$layer" sshd.service multi-user.target <<TEXT
[Unit]
Description=SSH Daemon
After=network.target systemd-user-sessions.service hubctl-lab-activate-boot.service

[Service]
Type=exec
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
ExecStart=$sshd -D
ExecReload=/bin/kill -HUP \$MAINPID
KillMode=process
Restart=on-failure
RestartSec=1s
TEXT

  disk_unit "$layer" nix-daemon.socket sockets.target <<'TEXT'
[Unit]
Description=Nix Daemon Socket

[Socket]
ListenStream=/nix/var/nix/daemon-socket/socket
TEXT
  disk_unit "$layer" nix-daemon.service <<TEXT
[Unit]
Description=Nix Daemon
Requires=nix-daemon.socket

[Service]
Environment=PATH=$LAB_HOST_PATH
ExecStart=/usr/bin/env nix-daemon --daemon
KillMode=process
TEXT

  # Booting is what the boot loader's default entry says, as on a real host: its init, whatever runs or is newest.
  disk_unit "$layer" hubctl-lab-activate-boot.service multi-user.target <<'TEXT'
[Unit]
Description=Boot the default entry of the boot loader
ConditionPathExists=/boot/loader/loader.conf

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
ExecStart=/usr/local/libexec/hubctl-lab-boot
TEXT
  cat >"$layer/usr/local/libexec/hubctl-lab-boot" <<'TEXT'
#!/bin/sh
# Stands in for firmware, boot loader and kernel: finds the entry that is set for this boot alone, or else the default one,
# and runs the init that it names.
set -eu
entry=$(sed -n 's/^default //p' /boot/loader/loader.conf | tail -n 1)
if [ -s /boot/loader/lab-oneshot ]; then
  once=$(cat /boot/loader/lab-oneshot)
  rm /boot/loader/lab-oneshot
  sync -f /boot
  if [ -e "/boot/loader/entries/$once" ]; then entry=$once; fi
fi
init=$(sed -n 's/^options init=\([^ ]*\).*/\1/p' "/boot/loader/entries/$entry" | tail -n 1)
if [ ! -x "$init" ]; then
  echo "boot entry $entry: there is no $init in the store" >&2
  exit 1
fi
exec "$init"
TEXT
  chmod 755 "$layer/usr/local/libexec/hubctl-lab-boot"

  # The journal is on the host's disk, small, and shown in full however fast a test writes.
  cat >"$layer/etc/systemd/journald.conf.d/lab.conf" <<'TEXT'
[Journal]
Storage=persistent
SystemMaxUse=48M
RateLimitBurst=0
TEXT
}

# disk_layers: makes the layers that all hosts of this lab share.
disk_layers() {
  local hidden=$lab_state/layers/hidden layer=$lab_state/layers/files
  # The kernel refuses a layer that lies within another, which this folder does where /run is part of the root.
  mkdir -p "$lab_state/layers"
  mount -t tmpfs -o mode=755,size=16M hubctl-lab "$lab_state/layers"
  disk_hidden "$hidden" "$lab_root"
  mkdir -p "$layer"/{etc,home,usr/local,dev,proc,sys,run,mnt,media,srv,opt,var/log/journal,var/lib,var/cache}
  install -d -m 1777 "$layer/tmp" "$layer/var/tmp"
  ln -s /run "$layer/var/run"
  ln -s /run/lock "$layer/var/lock"
  disk_users "$layer" "$lab_root"
  disk_ssh "$layer"
  disk_nix "$layer"
  disk_units "$layer"
  : >"$layer/etc/NIXOS"
  : >"$layer/etc/fstab"
  : >"$layer/etc/resolv.conf"
  # Newer than /usr, so that systemd does not take the first boot for the one after an update.
  : >"$layer/etc/.updated"
  : >"$layer/var/.updated"
  cat >"$layer/etc/os-release" <<'TEXT'
NAME=NixOS
ID=nixos
PRETTY_NAME="NixOS 25.11 (lab)"
VERSION_ID="25.11"
TEXT
}

# disk_create HOST: a new, empty disk, store and boot partition; mounted, not yet booted.
disk_create() {
  local host=$1 dir=$lab_state/hosts/$1 up nix_size boot_size disk_size
  read -r nix_size boot_size disk_size <"$dir/sizes"
  mkdir -p "$dir"/{disk,store,boot,root}
  mount -t tmpfs -o "mode=755,size=$disk_size" hubctl-lab "$dir/disk"
  mount -t tmpfs -o "mode=755,size=$nix_size" hubctl-lab "$dir/store"
  mount -t tmpfs -o "mode=755,size=$boot_size" hubctl-lab "$dir/boot"
  up=$dir/disk/up
  mkdir -p "$up/etc/ssh" "$dir/disk/work" "$dir/store/nix"
  printf '%s\n' "$host" >"$up/etc/hostname"
  tr -d - </proc/sys/kernel/random/uuid >"$up/etc/machine-id"
  printf 'host0 %s/24\n' "$(<"$dir/address")" >"$up/etc/lab-network"
  install -m 600 "$dir/host_key" "$up/etc/ssh/ssh_host_ed25519_key"
  install -m 644 "$dir/host_key.pub" "$up/etc/ssh/ssh_host_ed25519_key.pub"
  disk_mount "$host"
  disk_names "$host"
  disk_first_boot "$host"
}

# disk_first_boot HOST: what the host's own programs do before its first boot: the users' password and an initialised
# store. The store is empty but for Nix itself where the machine has it from the Nix store.
disk_first_boot() {
  local dir=$lab_state/hosts/$1 nix=$lab_state/hosts/$1/store/nix
  if [[ -n $lab_nix_package ]]; then
    nix --extra-experimental-features nix-command copy --no-check-sigs --to "local?root=$dir/store" "$lab_nix_package"
    mkdir -p "$nix/var/nix/profiles"
    ln -s "$lab_nix_package" "$nix/var/nix/profiles/default"
  fi
  # In a mount namespace of its own, so that the store is mounted in the host for these few commands only.
  # shellcheck disable=SC2016 # the variables belong to the inner shell.
  env -i "PATH=$LAB_HOST_PATH:$PATH" HOME=/root unshare --mount -- /bin/sh -euc '
    mount --bind "$1/store/nix" "$1/root/nix"
    mount --rbind /proc "$1/root/proc"
    exec chroot "$1/root" /bin/sh -euc "
      echo operator:$2 | chpasswd -c SHA512
      nix-store --init"
  ' sh "$dir" "$LAB_PASSWORD"
  mkdir -p "$nix"/var/nix/{daemon-socket,profiles/per-user,gcroots}
}

# disk_names HOST: every host of the lab in /etc/hosts, its own name first.
disk_names() {
  local file=$lab_state/hosts/$1/root/etc/hosts dir
  {
    printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$1"
    for dir in "$lab_state"/hosts/*/; do
      [[ ! -e $dir/address ]] || printf '%s %s\n' "$(<"$dir/address")" "$(basename "$dir")"
    done
  } >"$file"
}

disk_mount() {
  local dir=$lab_state/hosts/$1 layers=$lab_state/layers
  ! mountpoint -q "$dir/root" || return 0
  mount -t overlay overlay -o "lowerdir=$layers/files:$layers/hidden:$lab_root,upperdir=$dir/disk/up,workdir=$dir/disk/work" "$dir/root"
}

# disk_unmount HOST: the power is off, the disk stays.
disk_unmount() {
  local root=$lab_state/hosts/$1/root
  ! mountpoint -q "$root" || umount "$root" || umount --lazy "$root"
}

disk_destroy() {
  local dir=$lab_state/hosts/$1 part
  disk_unmount "$1"
  for part in disk store boot; do
    ! mountpoint -q "$dir/$part" || umount "$dir/$part" || umount --lazy "$dir/$part"
  done
}
