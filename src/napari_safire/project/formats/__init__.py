"""Export and import: annotations in the formats that trainers, tools and archives read.

``labelled``      one picture with its labels, as a plain value; what an export is asked for
``names``         names that any file system and any list can hold
``format``        what a format is: what it holds, how it is written, and its reader's own rule
``export``        check all, write aside, read every mask back, compare, give the final name
``catalogue``     the formats by name, and import
``splits``        training, validation and test without a common donor
``card``, ``croissant``   what a data set holds, for people and for machines

The other files are one format each. None of them knows the project's store.
"""
