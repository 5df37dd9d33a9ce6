"""What the project measures about itself; every file prints, and says how it measured."""
