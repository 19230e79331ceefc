# What all hosts have in common. On a machine of another architecture this is the one line to change.
{
  system = "x86_64-linux";
  sharedMotd = builtins.readFile ./motd.txt;
}
