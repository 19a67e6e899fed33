"""From a ratings file to prepared data: sources, readers, id maps, splits, negatives."""
