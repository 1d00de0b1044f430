"""One publish: from files to a running platform that follows them."""
