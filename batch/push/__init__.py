"""Push the lists of a run to where a shop reads them: changed users alone, a version at a time."""
