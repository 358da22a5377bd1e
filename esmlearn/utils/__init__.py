"""Helpers shared by all subpackages; nothing here imports one of them."""
