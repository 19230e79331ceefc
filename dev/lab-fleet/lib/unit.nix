# The store path of one systemd service.
derive: name: unit:
let
  inherit (builtins) toString;
  onOff = value: if value then "true" else "false";
in
derive "unit-${name}.service"
  ''
    mkdir "$out"
    printf '%s' "$script" >"$out/start"
    printf '%s' "$text" | sed "s|@out@|$out|g" >"$out/${name}.service"
  ''
  {
    script = if unit.failing then "echo '${name}: told to fail' >&2\nexit 1\n" else "${unit.exec}\n";
    # A failing one runs to its end before it counts as started, so that its failure is known at once.
    text = ''
      [Unit]
      Description=${unit.description}

      [Service]
      Type=${if unit.failing then "oneshot" else "exec"}
      Environment=PATH=/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin
      Environment=${builtins.toJSON "MARKER=${unit.marker}"}
      ${if unit.startSeconds > 0 then "ExecStartPre=/bin/sleep ${toString unit.startSeconds}" else ""}
      ExecStart=/bin/sh @out@/start
      ${if unit.stopSeconds > 0 then "ExecStop=/bin/sleep ${toString unit.stopSeconds}" else ""}
      ${if unit.reloadIfChanged then "ExecReload=/bin/echo reloaded" else ""}
      TimeoutStartSec=${toString (unit.startSeconds + 90)}
      TimeoutStopSec=${toString (unit.stopSeconds + 90)}
      X-StopIfChanged=${onOff unit.stopIfChanged}
      X-RestartIfChanged=${onOff unit.restartIfChanged}
      X-ReloadIfChanged=${onOff unit.reloadIfChanged}
    '';
  }
