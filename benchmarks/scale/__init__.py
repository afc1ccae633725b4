"""Ten thousand connected accounts on one machine, for an hour: `make scale`."""
