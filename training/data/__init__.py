"""Labels joined with features, split, and streamed."""
