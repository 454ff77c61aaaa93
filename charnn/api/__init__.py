"""What Python users get, as ``import charnn`` hands it on. It prints nothing.

What the command line warns of goes to the logger "charnn", which says nothing unless told to.
"""

import logging

logging.getLogger("charnn").addHandler(logging.NullHandler())
