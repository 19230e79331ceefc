# The release that the lab plays.
"25.11.20260801.lab"
