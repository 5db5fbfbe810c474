"""Where the pictures of a corpus come from: folders, lists, tables, shards, remote stores.

They are told one by one while the sources are still being read, so that work begins at once.
"""
