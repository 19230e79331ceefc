# Tells what a system in this store consists of, in one go and changing nothing. `system` is its toplevel. Prints lines of
# `key=value`; what the system does not tell has no line. `real` is the platform's own.
say() { [ -n "$2" ] && printf '%s=%s\n' "$1" "$2"; }

closure=$(nix --extra-experimental-features nix-command path-info --size --recursive "$system") || exit
printf '%s\n' "$closure" | sed 's/^/path=/'

for part in kernel initrd kernel-modules; do
  [ -e "$system/$part" ] && say "$part" "$(real "$system/$part")"
done
[ -r "$system/kernel-params" ] && say kernel-params "$(cat "$system/kernel-params")"

# A link of /etc is the file that it leads to; a file is its content. BSD's find tells nothing of links.
if cd "$system/etc/." 2>/dev/null && find . -prune -printf '' 2>/dev/null; then
  say etc-tree 1
  find . -type l -printf 'etc-link=%P\t%l\n' 2>/dev/null
  find . -type f -exec cksum {} + 2>/dev/null | sed 's/^/etc-file=/'
fi

# What follows stands in files that the activation and units name.
units=$system/etc/systemd/system
# named PATTERN UNIT: the file of the store whose path ends so and that the activation or the unit refers to.
named() { grep -hos "/nix/store/[0-9a-z]*-$1" "$system/activate" "$units/$2.service" | head -n 1; }
# json KEY FILE: its text as one line.
json() { [ -r "$2" ] && say "$1" "$(tr -d '\n' <"$2")"; }

users=$(named users-groups.json users)
json users "${users:-$(named userborn.json userborn)}"

rules=$(named firewall-start firewall)
if [ -n "$rules" ]; then rules=$rules/bin/firewall-start; else rules=$(named nftables-rules nftables); fi
if [ -r "$rules" ]; then
  say firewall 1
  grep -h 'dport' "$rules" | sed 's/^/rule=/'
fi

if [ -r "$system/activate" ]; then
  say activation 1
  script=$(grep -hos '/nix/store/[^ ]*/bin/agenix-install-secrets-start' "$units/agenix-install-secrets.service" | head -n 1)
  grep -hos '_truePath="[^"]*"' "$system/activate" ${script:+"$script"} | sed 's/^_truePath=/secret=/'
  json sops "$(named manifest.json sops-install-secrets)"
fi
:
