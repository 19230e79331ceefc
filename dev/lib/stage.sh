# A place in which scripts of dev/ show or measure hubctl: a lab of its own, a hub of its own, a home of its own, and no
# trace of any of them afterwards. Sourced after ensure.sh, never run. The script that sources it sets `repo`.
# shellcheck shell=bash
# shellcheck disable=SC2154 # `repo` is the sourcing script's, which also sets -e.

# stage_build: `hubctl` is the program of this tree, built for release. HUBCTL=PROGRAM takes another one and builds nothing.
stage_build() {
  local target
  if [[ -n ${HUBCTL:-} ]]; then
    hubctl=$(readlink -f -- "$HUBCTL")
    [[ -x $hubctl ]] || ensure_die "HUBCTL=$HUBCTL is not a program"
    return
  fi
  # A toolchain that rustup installed is on the PATH of login shells only.
  PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  command -v cargo >/dev/null ||
    ensure_die "cargo is missing" "Install Rust from https://rustup.rs, or run this in \`nix develop\`, or set HUBCTL to a hubctl."
  ensure cc
  cargo build --release --locked --manifest-path "$repo/Cargo.toml" || ensure_die "hubctl does not build"
  target=${CARGO_TARGET_DIR:-$repo/target}
  hubctl=$target/release/hubctl
}

# stage_open NAME: $stage is a directory of this run's own. It goes with the run, and so does all that is put on the stage.
stage_open() {
  stage_name=$1-$$
  stage_has_lab=''
  # Control sockets need short paths.
  stage=$(mktemp -d "/tmp/hubctl-$stage_name.XXXXXX")
  trap stage_close EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# stage_home: from here on git and the `hubctl` on the PATH work with a home of their own and with nothing of the user's.
stage_home() {
  mkdir -p "$stage"/{bin,home,run}
  export HOME=$stage/home USER=${USER:-root} XDG_RUNTIME_DIR=$stage/run
  unset XDG_STATE_HOME XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME HUBCTL_FLAKE HUBCTL_SUDO_PASSWORD_FILE
  # What is looked up by name must be this program, and no other one that is installed.
  ln -s "$hubctl" "$stage/bin/hubctl"
  PATH=$stage/bin:$PATH
  git config --global user.name "${USER^}"
  git config --global user.email "$USER@example.org"
  git config --global init.defaultBranch main
  git config --global core.pager cat
}

# stage_lab [HOST..]: boots the lab's hosts, copies the lab's fleet to $hub, and commits it. From here on nix, git, ssh and
# the `hubctl` on the PATH work with these and with nothing of the user's.
stage_lab() {
  ((EUID == 0)) || ensure_die "needs root, for the hosts' mounts and network namespaces: run it as root"
  ensure git nix ssh
  export HUBCTL_LAB=$stage_name
  stage_has_lab=1
  "$repo/dev/lab" up --owner $$ "$@"
  eval "$("$repo/dev/lab" env)"
  stage_home
  hub=$stage/hub
  cp -r "$repo/dev/lab-fleet" "$hub"
  cd "$hub" || exit
  git init --quiet
  stage_commit "the fleet"
}

stage_commit() {
  git add --all
  git commit --quiet --message "$1"
}

# stage_forget_connections: ends the ssh connections that hubctl keeps for its next run.
stage_forget_connections() {
  local socket
  for socket in "$stage"/run/hubctl/*; do
    # One whose master is gone needs no ending.
    [[ ! -S $socket ]] || ssh -S "$socket" -O exit any 2>/dev/null || :
  done
}

# stage_close: keeps the script's exit status, and a second Ctrl-C from leaving half of the lab behind.
stage_close() {
  local status=$?
  trap '' INT TERM HUP
  cd /
  if [[ -n $stage_has_lab ]]; then
    stage_forget_connections
    "$repo/dev/lab" down || status=1
  fi
  rm -rf --one-file-system -- "$stage"
  exit "$status"
}

# stage_wanted HOST: the toplevel that the hub's flake wants for it.
stage_wanted() { nix eval --raw "$hub#nixosConfigurations.$1.config.system.build.toplevel.outPath" 2>/dev/null; }

# stage_running HOST: what it runs, or nothing.
stage_running() { "$repo/dev/lab" ssh "$1" 'readlink -f /run/current-system || :' </dev/null; }
