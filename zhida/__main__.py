"""``python -m zhida``."""

from zhida.cli import main

main()
