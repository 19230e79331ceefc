# Every value that a host's file may set, with its default. Anything else in a host's file is an evaluation error.
#
# What the host is:
#   system          Nix system of the host; shared/common.nix sets it for all
#   hostName        its name; the folder's name when null
#   motd            text of /etc/lab-motd, after sharedMotd
#   sharedMotd      the part of it that all hosts share
#   kernel          kernel version; another one makes a reboot necessary
#   kernelParams    list of kernel parameters
#   initrdMiB       size of the initrd, which lands in /boot for every kernel and size
#   units           <name> = { .. }, see unit.nix; a systemd service each
#   specialisations <name> = { .. }: values of this list that replace the host's in that specialisation
#   users, groups   names of users and groups; the system tells them where there are any
#   openPorts       numbers of TCP ports; there is a firewall where there are any
#   secrets         names of secrets, which the activation would put to their places
#   age             age.secrets and age.identityPaths, as agenix has them; nothing is decrypted
#   sops            sops.secrets, sops.defaultSopsFile and sops.age, as sops-nix has them; nothing is decrypted
#   closureMiB      size of a payload in the closure that does not compress, for copies that take time
#   closureSeed     another number makes another payload, to be copied anew
#
# What it costs, and where it breaks:
#   evalWork        CPU work of evaluating the toplevel: about so many seconds with Nix 2.8
#   evalError       evaluation of the toplevel throws this message
#   build.seconds   building takes so long, again with every change of the host's motd
#   build.logLines  lines that the build prints on its way
#   build.fail      building fails, with build.failMessage as the last line of its log
#
# What activation does (bin/switch-to-configuration and activate; all but `exit` 4 and 100 also when booting):
#   activation.exit        0; 2: a snippet of the activation script fails; 4: as when a unit failed; 100: the interface to
#                          init changed, nothing is activated until a reboot
#   activation.inhibit     the pre-switch check refuses with this message, unless NIXOS_NO_CHECK=1
#   activation.seconds     activation takes so long
#   activation.logLines    lines that it prints in each of these seconds
#   activation.cutNetwork  the network link goes down; a system that does not cut it brings it back
#   activation.dropAddress  the link stays, and loses its address
#   activation.dropTraffic  everything that the host would send is dropped, as by a firewall
#   activation.otherHostKey sshd has another host key, until a system is activated that has the usual one
#   activation.stopSshd    sshd is stopped and stays so until a boot or a start by hand
#   activation.fillDisk    /nix is filled to the last byte, with /nix/lab-fill
#   activation.hang        activation does not end
#   activation.reboot      the host reboots in the middle of activation (not when booting)
#   activation.panic       the host is gone in the middle of activation, at once (not when booting)
#   activation.fragileOutput
#                          dies with status 101 when its output cannot be written, as older releases did
#
# What booting does:
#   boot.panic      the system does not come up: it is gone early in the boot, and the host is booted again
#   boot.oneTime    the boot loader boots an entry once that is not its default, and the system brings bootctl for that
#
# What only hosts of darwin/ have, of which `activation` knows exit 0 and 2, seconds, cutNetwork,
# stopSshd, hang and reboot:
#   darwin.activateUser  a user activates a part of the system, as before release 25.05 of nix-darwin
{
  system = "x86_64-linux";
  hostName = null;
  motd = "";
  sharedMotd = "";
  kernel = "6.12.40";
  kernelParams = [ "loglevel=4" ];
  initrdMiB = 1;
  units = { };
  specialisations = { };
  users = [ ];
  groups = [ ];
  openPorts = [ ];
  secrets = [ ];
  age = {
    secrets = { };
    identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
  };
  sops = {
    secrets = { };
    defaultSopsFile = null;
    age = {
      sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
      keyFile = null;
    };
  };
  closureMiB = 0;
  closureSeed = 0;

  evalWork = 0;
  evalError = null;
  build = {
    seconds = 0;
    logLines = 0;
    fail = false;
    failMessage = "cc1: fatal error: lab.c: the build was told to fail";
  };

  activation = {
    exit = 0;
    inhibit = null;
    seconds = 0;
    logLines = 0;
    cutNetwork = false;
    dropAddress = false;
    dropTraffic = false;
    otherHostKey = false;
    stopSshd = false;
    fillDisk = false;
    hang = false;
    reboot = false;
    panic = false;
    fragileOutput = false;
  };

  darwin.activateUser = false;

  boot = {
    panic = false;
    oneTime = true;
  };
}
