# What a unit of a host may set:
#   description     of the unit
#   exec            shell text that the service runs
#   marker          any text; another one makes the unit another
#   failing         starting the unit fails
#   startSeconds    how long starting takes
#   stopSeconds     how long stopping takes
#   wanted          multi-user.target wants it: it is started with the system
#   stopIfChanged   stopped before and started after activation when it changed; otherwise restarted after it
#   restartIfChanged  false: a change waits for the next boot
#   reloadIfChanged   a change is only told to the running service
{
  description = "A service of the lab";
  exec = "exec sleep infinity";
  marker = "";
  failing = false;
  startSeconds = 0;
  stopSeconds = 0;
  wanted = true;
  stopIfChanged = true;
  restartIfChanged = true;
  reloadIfChanged = false;
}
