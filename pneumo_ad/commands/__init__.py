"""Commands of `pneumo-ad`, one file each, with its definition `COMMAND`.

`cli` finds them here. Heavy modules are imported when a command runs, not at the top of its file.
"""
