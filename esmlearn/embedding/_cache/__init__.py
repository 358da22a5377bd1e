"""Embeddings on disk: an SQLite index, flat files of vectors, and their maintenance."""
