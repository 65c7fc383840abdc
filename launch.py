"""Launch a search: `python launch.py` is `ichtune search`, also for Ray jobs and the head of a cluster."""

import sys

from ichtune.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "search")
    main()
