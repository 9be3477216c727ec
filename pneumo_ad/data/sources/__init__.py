"""Data sources: functions that read folders and csv files and return a checked table of radiographs."""

from pneumo_ad.data.sources.chest_xray import chest_xray
from pneumo_ad.data.sources.folders import folder, masks
from pneumo_ad.data.sources.phantom import phantom
from pneumo_ad.data.sources.rsna import rsna
from pneumo_ad.data.sources.several import several
from pneumo_ad.data.sources.splits import splits

__all__ = ["chest_xray", "folder", "masks", "phantom", "rsna", "several", "splits"]
