"""Ray itself: how it is started or joined, and what every node must see.

Ray reads its settings when it is imported, so they are here; what a user has set stays.
"""

import os

_SETTINGS = {
    # Under `uv run`, Ray would start its workers by `uv run` in a copy of the folder, where nothing is installed.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Trials write their own records; Ray's would be a second and slower set.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_INIT": "1",
    # Ctrl-C is taken by `halt`, which knows afterwards that it was there.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
