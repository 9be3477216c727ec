"""Files of any folder judged by a trained run, or by one that was exported."""
