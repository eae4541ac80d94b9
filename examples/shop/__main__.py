"""``python -m examples.shop``: under a minute from an empty folder to a proof."""

import sys

try:
    from examples.shop.demonstration import main
except KeyboardInterrupt:  # imports take a moment
    sys.exit(130)

sys.exit(main())
