"""What the fast paths gain over plain loops: `python -m tests.bench`. No test."""

import os

os.environ["TQDM_DISABLE"] = "1"  # before torch imports tqdm, which reads it then
