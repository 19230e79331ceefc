# Tells what a collection would free if the roots in {gone} were gone, as a number of paths and of bytes. Changes nothing.
export LC_ALL=C
# A disk that is full is what this is asked for.
work=$(mktemp -d /run/hubctl-gc.XXXXXX 2>/dev/null || mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
gone={gone}
# Each root is told as `link -> path`; a blank in the name of a link is none in that of a path.
nix-store --gc --print-roots 2>/dev/null | while IFS= read -r line; do
  case " $gone " in
    *" ${{line%% -> *}} "*) printf '%s\n' "${{line##* -> }}" >>"$work/gone" ;;
    *) printf '%s\n' "${{line##* -> }}" ;;
  esac
done | grep '^/nix/store/' | sort -u >"$work/roots"
nix-store --gc --print-dead 2>/dev/null | sort -u >"$work/dead" || exit
if [ -s "$work/gone" ]; then
  xargs nix-store --query --requisites <"$work/gone" | sort -u >"$work/closure" || exit
  xargs nix-store --query --requisites <"$work/roots" | sort -u >"$work/live" || exit
  comm -23 "$work/closure" "$work/live" >>"$work/dead"
fi
# Of paths that were left half-made nothing is known but their names.
nix --extra-experimental-features nix-command path-info --all --size | tr -s '\t' ' ' | sort >"$work/all"
sort -u "$work/dead" | join - "$work/all" | {{
  paths=0 bytes=0
  while read -r _ size; do
    paths=$((paths + 1)) bytes=$((bytes + size))
  done
  printf 'hubctl-garbage:%s %s\n' "$paths" "$bytes"
}}
