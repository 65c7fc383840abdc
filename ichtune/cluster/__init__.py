"""Ray itself: starting or joining it, and checking what every node can see.

Ray reads its settings on import, so they are set here; the user's own settings take precedence.
"""

import os

_SETTINGS = {
    # Under `uv run`, Ray would start its workers with `uv run` in a copy of the folder, where nothing is installed.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Trials write their own records; Ray's loggers would only add a slower second set.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_INIT": "1",
    # `halt` handles Ctrl-C, and can report afterwards that it was pressed.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
