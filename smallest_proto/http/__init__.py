"""What goes over HTTP: one exchange each for a file, a text to be spoken, the list of voices."""
