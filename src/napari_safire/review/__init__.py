"""Expert visual review: cases, findings, judgements, and reports that others can repeat."""
