"""Tests mirror the source; contract/ runs the commands themselves."""
