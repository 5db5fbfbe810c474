"""The events of a project and the file that they lie in.

``events``        what happened: kinds, hashes, one after the other
``event_bodies``  what each kind must hold, asked when it is written and when it is read
``event_table``, ``schema``    rows of SQLite, and how they came to be so
``database``      connections, transactions, network drives
"""
