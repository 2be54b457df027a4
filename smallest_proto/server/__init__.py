"""The service's side of the same protocols, pure as well: for tests and for the local server."""
