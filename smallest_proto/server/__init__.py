"""The service's side of the same protocols, pure as well: for tests, for the local server, for other people's tests."""
