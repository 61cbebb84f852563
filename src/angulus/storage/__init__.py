"""Files in stores and on servers (`s3://`, `gs://`, `http://`, `https://`, `memory://`), as paths of this machine.

An address has a place in a folder of this machine: `placed` says which, and that path goes wherever a path goes.
`arrived` brings there what has to be read whole; large files stay where they are and are read in ranges (`Ranges`).
What is written to such a place is published (`publish`): it appears in the store whole or not at all.
"""

from angulus.storage.addresses import address_of, in_words, is_address, placed
from angulus.storage.arrival import arrived, fetch_missing, run_arrived, taken
from angulus.storage.listings import Listing, listing_of
from angulus.storage.publication import check_free, check_writable, names_stored, publish, publish_file, stored
from angulus.storage.ranges import Ranges, ranges_of
from angulus.storage.run_publication import published_run

__all__ = [
    "Listing",
    "Ranges",
    "address_of",
    "arrived",
    "check_free",
    "check_writable",
    "fetch_missing",
    "in_words",
    "is_address",
    "listing_of",
    "names_stored",
    "placed",
    "publish",
    "publish_file",
    "published_run",
    "ranges_of",
    "run_arrived",
    "stored",
    "taken",
]
