//! A lab host that answers as a Mac does, as far as Linux can: what a shell finds there is macOS's tools and nothing of systemd's,
//! and what they say of themselves and of the machine is what macOS says.

use super::hub::Hub;
use super::lab::Lab;

/// The host's name.
pub(crate) const MAC: &str = "mac";

/// What is the same on both, as far as anybody asks for it here.
const SAME: &str = "awk bash cat chmod cmp cp cut date df env expr false grep head hostname id kill ls mkdir mkfifo mktemp mv nohup \
                    perl printf ps rm rmdir sed sh sleep sort sudo tail tee test touch tr true wc xargs";

/// What says something else there, or knows less. Nothing of this is on a search path that has GNU's or Linux's own tools too.
const OTHER: &[(&str, &str)] = &[
    ("uname", r"case ${1-} in -m) echo arm64 ;; *) echo Darwin ;; esac"),
    (
        "sysctl",
        r#"case "$*" in
  "-n kern.bootsessionuuid") tr a-z A-Z </proc/sys/kernel/random/boot_id ;;
  "-n kern.boottime") read -r up _ </proc/uptime
    printf "{ sec = %s, usec = 0 } Sat Nov 21 19:08:29 2026\n" $(($(date +%s) - ${up%.*})) ;;
  *) echo "sysctl: unknown oid" >&2; exit 1 ;;
esac"#,
    ),
    ("scutil", r#"case "$*" in "--get HostName") cat /etc/hostname ;; *) exit 1 ;; esac"#),
    ("ioreg", r#"printf "    \"IOPlatformUUID\" = \"%s\"\n" "$(cat /etc/machine-id)""#),
    (
        "pmset",
        r#"if [ -e /etc/lab-battery ]; then
  printf "Now drawing from \047Battery Power\047\n -InternalBattery-0 (id=1)\t%s%%; discharging; 1:02 remaining\n" "$(cat /etc/lab-battery)"
else
  printf "Now drawing from \047AC Power\047\n"
fi"#,
    ),
    (
        "stat",
        r#"case $1 in
  -f) shift; [ "$1" = %m ] || exit 1; shift; exec /usr/bin/stat -c %Y "$@" ;;
  -L) [ "$2 $3" = "-f %m" ] || exit 1; shift 3; exec /usr/bin/stat -L -c %Y "$@" ;;
  *) echo "stat: illegal option" >&2; exit 1 ;;
esac"#,
    ),
    (
        "readlink",
        r#"case $1 in -f | -n) ;; -*) echo "readlink: illegal option" >&2; exit 1 ;; esac; exec /usr/bin/readlink "$@""#,
    ),
    ("ln", r#"case $1 in -*[TrtbS]*) echo "ln: illegal option" >&2; exit 1 ;; esac; exec /usr/bin/ln "$@""#),
];

impl Lab {
    /// Boots a host that answers as a Mac with Nix, on which nix-darwin never was.
    pub(crate) fn mac() -> Self {
        let lab = Self::up(&[MAC]);
        let tools = "/nix/var/nix/profiles/default/bin";
        let mut script = format!(
            "set -e\nmkdir -p /mac/bin {tools}\nfor tool in {SAME}; do ln -s \"/usr/bin/$tool\" /mac/bin/; done\n\
             for tool in nix nix-env nix-store nix-daemon; do ln -s \"$(command -v $tool)\" {tools}/; done\n"
        );
        script.extend(OTHER.iter().map(|(tool, does)| {
            format!("cat >/mac/bin/{tool} <<'TOOL'\n#!/bin/sh\n{does}\nTOOL\nchmod 755 /mac/bin/{tool}\n")
        }));
        // The kernel's own word for itself, what nix-darwin does with each boot, and the search path of sshd and sudo.
        script.push_str(
            "echo Darwin >/mac/ostype\n\
             cat >/mac/boot <<'BOOT'\n#!/bin/sh\nmount --bind /mac/ostype /proc/sys/kernel/ostype\n\
             system=$(cat /nix/var/nix/profiles/system/systemConfig 2>/dev/null) || exit 0\n\
             ln -sfn \"$system/etc\" /etc/static\nln -sfn \"$system\" /run/current-system\nBOOT\n\
             printf '[Unit]\\nBefore=sshd.service\\n[Service]\\nType=oneshot\\nExecStart=/mac/boot\\n[Install]\\nWantedBy=multi-user.target\\n' \
             >/etc/systemd/system/mac.service\n\
             chmod 755 /mac/boot\nsystemctl enable --quiet --now mac.service\n\
             sed -i 's|^SetEnv PATH=.*|SetEnv PATH=/mac/bin|' /etc/ssh/sshd_config\n\
             sed -i '/secure_path/d' /etc/sudoers\nsystemctl reload sshd.service\n",
        );
        lab.console(MAC, &script);
        lab
    }

    /// What the Mac runs, and what its profile has.
    pub(crate) fn mac_runs(&self) -> (String, String) {
        let real = |link: &str| self.console(MAC, &format!("readlink -e {link} || true"));
        (real("/run/current-system"), real("/nix/var/nix/profiles/system"))
    }
}

impl Hub {
    /// A hub that has the Mac beside the lab's fleet.
    pub(crate) fn with_mac(lab: &Lab) -> Self {
        let hub = Self::new(lab);
        hub.set_mac("");
        hub.mac_toml("");
        hub.commit("a Mac");
        hub
    }

    /// Sets values of the Mac.
    pub(crate) fn set_mac(&self, values: &str) {
        self.write(
            &format!("darwin/{MAC}/default.nix"),
            &format!("{{\n  imports = [ ../../shared/common.nix ];\n  {values}\n}}\n"),
        );
    }

    /// Has hub.toml say this of the Mac, in place of what it said before.
    pub(crate) fn mac_toml(&self, text: &str) {
        let fleet = "[hosts.p620]\n[hosts.p510]\n[hosts.razer]\n[hosts.samsung]\n";
        self.write("hub.toml", &format!("{fleet}\n[hosts.{MAC}]\n{text}\n"));
    }
}
