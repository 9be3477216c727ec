"""`python -m pneumo_ad` is `pneumo-ad`."""

from pneumo_ad.cli import main

main()
