"""Turn a ratings file into prepared data: sources, readers, id maps, splits, negatives."""
