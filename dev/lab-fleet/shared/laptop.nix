# What only the laptops have.
{
  kernelParams = [
    "loglevel=4"
    "mem_sleep_default=deep"
  ];
  units.powersave.description = "Saves power";
}
