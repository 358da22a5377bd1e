"""Helpers shared by all rooms; nothing here imports another room."""
