"""The commands of `pneumo-ad`: a file each, with its `COMMAND`, that says how it is called and does it.

`cli` finds them here. Nothing heavy is imported at the top of any: what a command needs is imported when it runs.
"""
