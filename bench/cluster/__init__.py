"""Distribution of trials over processes of this machine, or over GPUs and nodes with Ray Tune, and their
execution on a worker. The code of a trial is in trial; compare and tuning decide which trials run.

May import: datasets, measure, methods, observe, plugins, spec, store, trial.
"""

import os

# Ray reads these when it is imported, which is after this package. A worker must not change its folder.
os.environ.update(
    RAY_AIR_NEW_OUTPUT="0",
    RAY_CHDIR_TO_TRIAL_DIR="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0",
)
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
