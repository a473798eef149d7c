"""``python -m actinium``: the command line, where its script is not on the path."""

from actinium.cli import main

if __name__ == "__main__":
    main()
