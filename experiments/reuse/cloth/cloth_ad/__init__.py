"""Weaving faults in cloth: a net, a data source and their yaml for pneumo_ad, which is not touched."""
