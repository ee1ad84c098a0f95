"""A claim on an open file that ends with the process, however that dies: what nobody claims is a dead one's."""

import sys

if sys.platform == "win32":

    def claim(descriptor: int) -> bool:
        """Nothing to be done: there an open file cannot be deleted."""
        return True

else:
    import fcntl

    def claim(descriptor: int) -> bool:
        """Claim an open file for this process until it is closed; False if another open file has the claim."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
