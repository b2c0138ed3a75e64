"""The command line: open, call the API, print."""

import os

# OpenMP reads this when numpy's relatives load it. Threads that wait for others then sleep: by
# default they spin, and on a machine with other work the same fit took 5 to 20 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
