"""Records: JSON files that say how results came to be and which pictures belong to them."""
