"""Files of results, in a folder or an object store: the ledger of a comparison and of a search, and files of
tensors. The columns of a row are in row.py.

May import: spec.
"""
