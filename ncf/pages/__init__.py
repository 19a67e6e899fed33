"""Pages that people look at: one file of HTML with its plots, style and script, and no network."""
