"""``python -m actinium.cli``."""

from . import main

main()
