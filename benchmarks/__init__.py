"""Side-by-side measurements of the platform and of other ways to do the same job."""
