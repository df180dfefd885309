"""Files on disk: the ledger of a comparison and of a search, and files of tensors. The columns of a row are
in row.py.

May import: spec.
"""
