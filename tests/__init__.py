"""The course's tests. `make test` runs all of them."""
