formatter:
let
  name = formatter.meta.mainProgram or formatter.pname or (builtins.parseDrvName formatter.name).name;
  program =
    if formatter.type or null == "app" then formatter.program else "${formatter}/bin/${name}";
  isDerivation = path: builtins.match ".*[.]drv" path != null;
  derivations = builtins.filter isDerivation (
    builtins.attrNames (builtins.getContext program)
  );
in
{
  program = builtins.unsafeDiscardStringContext program;
  drv = if derivations == [ ] then null else builtins.head derivations;
}
