"""Make every part take half a second in the processes of Ray that make them.

Put on PYTHONPATH by tests that take a node away in the middle of a batch.
"""

import sys
import time

if any(word.endswith("default_worker.py") for word in sys.orig_argv):
    from batch import sessions

    make = vars(sessions)["make_part"]

    def slowly(*words: object) -> object:
        """Sleep, and make a part."""
        time.sleep(0.5)
        return make(*words)

    vars(sessions)["make_part"] = slowly
