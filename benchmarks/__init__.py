"""Side-by-side measurements of the platform and of other ways to do the same job."""

import os

# As in workers: more threads of Polars cost CPU and save nothing on batches. It must be set before Polars is imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
