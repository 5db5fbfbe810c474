"""The dock *SAFIRE Review*: a case, what was seen, a verdict, a report."""
