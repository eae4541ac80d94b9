"""Jobs that kill the process that runs them: how often that may happen, and what is said of them in the end."""

from __future__ import annotations

import json

MOST_CRASHES = 3
POISON = json.dumps(
    {
        "type": "Poison",
        "message": (
            f"Its worker died, or was taken for dead, {MOST_CRASHES} times or more: the first time while it held the job, "
            "then while the handler ran, the last time with nothing beside it."
        ),
    }
)
