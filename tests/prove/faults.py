"""Networks of listeners, disks and databases that fail under a live space, one case after the other; or those that are
named. A case has a name, and is a function that yields its figures: what, how much, and the limit.
"""

import os
import sys

from cases import disks, networks, store
from figures import figure

CASES = {**networks.CASES, **disks.CASES, **store.CASES}

if os.geteuid() != 0:
    sys.exit("this makes networks and disks of its own: it needs root")
for asked in sys.argv[1:] or CASES:
    if asked not in CASES:
        sys.exit(f"`{asked}` is not among: {', '.join(CASES)}")
for asked in sys.argv[1:] or CASES:
    for what, value, limit in CASES[asked]():
        figure(f"{asked}: {what}", value, limit)
