"""`python -m separation` is `earshot`."""

from separation.cli import main

if __name__ == "__main__":
    main()
