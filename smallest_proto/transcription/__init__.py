"""Live transcription: audio in, events out, whatever happens to the links in between."""
