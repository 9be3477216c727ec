"""The commands of `pneumo-ad`, one per file; nothing is imported before its command is asked for."""
